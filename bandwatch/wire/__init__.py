"""The contract: generated messages and what both ends need to speak them."""
