"""What the C side is made of: symbol tables, API descriptions, and what reads them."""
