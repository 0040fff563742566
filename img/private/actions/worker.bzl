"""How Bazel may run the actions of build verbs: each as a process, or as requests to a persistent worker."""

visibility("//img/private/actions/...")

# A worker takes many requests at a time, sandboxed or not, and can end each. It is started as `img VERB --persistent_worker`, and sent the
# lines of the request that a process would read from its parameter file.
EXECUTION_REQUIREMENTS = {
    "requires-worker-protocol": "json",
    "supports-multiplex-sandboxing": "1",
    "supports-multiplex-workers": "1",
    "supports-path-mapping": "1",
    "supports-worker-cancellation": "1",
    "supports-workers": "1",
}
