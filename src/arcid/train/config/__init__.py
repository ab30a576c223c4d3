"""What a run is asked to do: the recipe's sections, and YAML read into them."""
