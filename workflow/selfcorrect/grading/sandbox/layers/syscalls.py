"""The Linux system calls that the filter in ``seccomp.py`` tells apart, with their numbers.

Each name maps to (number on x86_64, number on aarch64); None where the machine has no such call.
Numbers are the kernel's (``asm/unistd_64.h``, ``asm-generic/unistd.h``).
"""

# fmt: off

# What Python needs to run a program by itself: memory, files (which Landlock confines), clocks,
# threads' locks, and streams it has open already.
ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66),
    "pread64": (17, 67), "pwrite64": (18, 68), "close": (3, 57), "close_range": (436, 436),
    "open": (2, None), "openat": (257, 56), "creat": (85, None), "stat": (4, None),
    "fstat": (5, 80), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291),
    "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "lseek": (8, 62), "ftruncate": (77, 46),
    "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37),
    "symlink": (88, None), "symlinkat": (266, 36), "unlink": (87, None), "unlinkat": (263, 35),
    "readlink": (89, None), "readlinkat": (267, 78),
    "umask": (95, 166), "flock": (73, 32),
    "fsync": (74, 82), "fdatasync": (75, 83), "fadvise64": (221, 223),
    "copy_file_range": (326, 285), "sendfile": (40, 71), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "pipe": (22, None), "pipe2": (293, 59),
    "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216),
    "madvise": (28, 233), "brk": (12, 214), "msync": (26, 227), "futex": (202, 98),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "membarrier": (324, 283),
    "set_tid_address": (218, 96), "restart_syscall": (219, 128), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137), "sigaltstack": (131, 132),
    "alarm": (37, None), "pause": (34, None), "getitimer": (36, 102), "setitimer": (38, 103),
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None),
    "times": (100, 153), "getrusage": (98, 165), "select": (23, None), "pselect6": (270, 72),
    "poll": (7, None), "ppoll": (271, 73), "epoll_create1": (291, 20), "epoll_ctl": (233, 21),
    "epoll_wait": (232, None), "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "recvfrom": (45, 207), "shutdown": (48, 210), "getpid": (39, 172),
    "getppid": (110, 173), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148),
    "getresgid": (120, 150), "getgroups": (115, 158), "getpgrp": (111, None),
    "getpgid": (121, 155), "getsid": (124, 156), "uname": (63, 160), "sysinfo": (99, 179),
    "getrlimit": (97, 163), "getrandom": (318, 278), "wait4": (61, 260), "waitid": (247, 95),
    "exit": (60, 93), "exit_group": (231, 94),
}

# What is said to have been done and is not: Landlock does not confine these to the scratch folder.
PRETENDED: dict[str, tuple[int | None, int | None]] = {
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "utimensat": (280, 88),
}

# What only a program that wants out would call: it is killed, and its verdict is "forbidden".
# Calls in neither list fail with EPERM, as on a machine that does not permit them.
FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "sendmmsg": (307, 269), "recvmmsg": (299, 243), "fork": (57, None), "vfork": (58, None),
    "execve": (59, 221), "execveat": (322, 281), "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "setuid": (105, 146), "setgid": (106, 144),
    "setreuid": (113, 145), "setregid": (114, 143), "setresuid": (117, 147),
    "setresgid": (119, 149), "setgroups": (116, 159), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "keyctl": (250, 219),
    "add_key": (248, 217), "request_key": (249, 218), "shmget": (29, 194), "shmat": (30, 196),
    "mq_open": (240, 180), "msgget": (68, 186), "semget": (64, 190),
    "io_uring_setup": (425, 425), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
}

# What a worker needs to make processes and confine them, and a program does not.
CONFINING: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "kill": (62, 129), "tgkill": (234, 131), "prctl": (157, 167),
    "setrlimit": (160, 164), "prlimit64": (302, 261), "capset": (126, 91),
    "landlock_restrict_self": (446, 446), "memfd_create": (319, 279),
}

# Allowed or not by their arguments.
JUDGED: dict[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435), "ioctl": (16, 29), "socketpair": (53, 199),
    "fcntl": (72, 25), "sendto": (44, 206),
}

# The audit architectures (linux/audit.h): one filter must not be read with another's numbers.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
