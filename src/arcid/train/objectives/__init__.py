"""What a step makes smaller: a margin loss on class centres, triplets, or the distance to teachers.

``losses`` names every loss; ``create`` makes the objective that a recipe asks for.
"""
