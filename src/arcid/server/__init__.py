"""The REST service: ``app.create_app(settings)`` builds it, ``run.serve(settings)`` runs it."""
