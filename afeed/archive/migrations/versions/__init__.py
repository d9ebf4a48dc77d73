"""The schema's history, one script a step.  A script that was released is never changed."""
