"""The config file: ``loader`` reads and checks it and turns it into the objects of ``model``; ``reference`` documents it."""
