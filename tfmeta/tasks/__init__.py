"""Where tasks come from: image data, episodes, regression families."""
