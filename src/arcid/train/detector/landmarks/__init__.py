"""The landmark refiner: a network of its own, fed upright crops of single faces.

scenes → views (crops cut as the product cuts them, somewhat wrong) → network → job
"""
