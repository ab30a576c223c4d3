"""Who may come in: accounts, roles, sessions and the door that asks for them."""
