"""What a tool-use task is: its file, its template and parameters, its fields, and its world set up in a container."""
