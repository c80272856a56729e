"""The only place of kopf: watches, as events for the control loop. No state, no finalizers, no annotations."""
