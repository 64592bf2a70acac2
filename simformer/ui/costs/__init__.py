"""The Annotation cost tab."""
