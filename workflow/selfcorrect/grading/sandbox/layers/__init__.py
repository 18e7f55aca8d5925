"""The layers of isolation, each a call to the kernel: namespaces, Landlock, seccomp, limits.

Imports nothing but the standard library: it runs in an interpreter that has nothing else. What
each layer is for:

* *namespaces*: no network, no other process to see or signal, and a root that holds the Python
  library, a few devices and one scratch folder;
* *landlock*: of the files that are left, the library may be read and the scratch folder written,
  which is only there with namespaces, since nothing else bounds how much is written;
* *seccomp*: no sockets, processes, threads, signals to others, mounts, or anything else unusual;
* *limits*: CPU time, memory, file size, open files and core dumps.

Namespaces are refused in many containers; the other three hold by themselves and are required.
"""

NAMES = ("limits", "landlock", "seccomp", "namespaces")
REQUIRED = ("limits", "landlock", "seccomp")
