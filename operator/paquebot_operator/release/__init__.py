"""What a Helm release runs beside the operator: apply a manifest once, and prove that mail goes through.

It promises to say what it waits for and why it gave up; it knows the API's kinds, nothing of compilation or control.
"""
