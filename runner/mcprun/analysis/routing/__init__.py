"""Whether the model picks the right tool: graded first turns of a routed run, added up."""
