"""Programs that generate video, and how a decoder of ours gets into them. One file a host.

Every module has `install(pipe, decoder)`, `uninstall(pipe)`, which restores what was there, and `installed(pipe,
decoder)` for a `with` block. Hosts differ in layout, in who denormalises latents and in how they stream; each module
settles that at its edge, once. Nothing here imports a host before it is used.
"""
