//! A wall clock that a test can step under a running system: a preloaded library adds the seconds
//! that a file holds to every answer of the C library about the time of day. Intervals are not moved,
//! just as the kernel does not move them when somebody sets the clock.

use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long *shift(void) {
    static volatile long long none, *page;
    if (page) return page;
    const char *name = getenv("E2E_CLOCK");
    int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    return page = found == MAP_FAILED ? &none : found;
}
int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += *shift();
    return failed;
}
int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"#;

/// The clock of one test.
#[derive(Clone, Debug)]
pub struct Clock {
    library: PathBuf,
    shift: PathBuf,
}

impl Clock {
    /// Builds the library with the host's C compiler, which building this project needs anyway.
    pub fn build(folder: &Path) -> Self {
        let source = folder.join("clock.c");
        let library = folder.join("clock.so");
        let shift = folder.join("clock.shift");
        std::fs::write(&source, SOURCE).unwrap();
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(&source)
            .status();
        assert!(status.unwrap().success());
        let clock = Self { library, shift };
        std::fs::write(&clock.shift, 0_i64.to_ne_bytes()).unwrap();
        clock
    }

    /// What a process needs in its environment to live by this clock.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("E2E_CLOCK", self.shift.to_str().unwrap()),
        ]
    }

    /// From now on the clock is this many seconds off the true time.
    pub fn set(&self, seconds: i64) {
        use std::io::Write;
        // In place: the page is mapped by those who live by it.
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .open(&self.shift)
            .unwrap();
        file.write_all(&seconds.to_ne_bytes()).unwrap();
    }
}
