"""Many weak users of a cell, as an observer near the street receives them."""
