"""Arrays, and the textures, surfaces and tensor maps that read them."""
