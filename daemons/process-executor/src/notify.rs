//! File system events, waited for without a thread.

use std::io;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// An inotify instance in the runtime.
pub struct Notify {
    fd: AsyncFd<Raw>,
}

struct Raw(Inotify);

impl AsRawFd for Raw {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Notify {
    /// A new instance.
    ///
    /// # Errors
    /// When the user has too many.
    pub fn new() -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "Raw owns its descriptor and never closes or swaps it, which is all that the unsafe form asks for"
        )]
        let fd = AsyncFd::with_interest(Raw(inotify), Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Watches a path.
    ///
    /// # Errors
    /// When it does not exist, or there are too many watches.
    pub fn add(&self, path: &Path, flags: AddWatchFlags) -> io::Result<WatchDescriptor> {
        Ok(self.fd.get_ref().0.add_watch(path, flags)?)
    }

    /// The next events.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn events(&self) -> io::Result<Vec<InotifyEvent>> {
        loop {
            let mut guard = self.fd.readable().await?;
            let read = guard.try_io(|raw| Ok(raw.get_ref().0.read_events()?));
            if let Ok(events) = read {
                return events;
            }
        }
    }
}

/// Tells that something in a directory was written or appeared.
pub struct DirectoryWatch(Notify);

impl DirectoryWatch {
    /// Watches a directory.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn new(dir: &Path) -> io::Result<Self> {
        let notify = Notify::new()?;
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MODIFY;
        notify.add(dir, flags)?;
        Ok(Self(notify))
    }

    /// Waits for the next change.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn changed(&mut self) -> io::Result<()> {
        self.0.events().await.map(drop)
    }
}
