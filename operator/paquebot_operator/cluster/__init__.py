"""The Kubernetes API as one class: lists, reads, server-side apply, patches, the Lease, and pods' admin ports.

It promises a deadline for every call and errors as types; it knows nothing of mail.
Nothing else imports ``kubernetes``.
"""
