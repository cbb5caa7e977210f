//! Keeps what a process has in memory and in its files from other processes of its user.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// From now on nobody but the kernel's own root may look into this process by `/proc/PID/` (`root`, `environ`, `mem`, `fd`),
/// attach to it, or find a core dump of it (prctl(2), PR_SET_DUMPABLE). In a pod that shares its process namespace a container of
/// the same user could, and through `/proc/PID/root` it would reach what is mounted for this process alone.
///
/// # Errors
/// If the kernel refuses; then better don't go on.
pub fn conceal() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn a_concealed_process_stays_so() {
        conceal().expect("nothing forbids it");
        assert_eq!(dumpable_behavior().expect("known"), DumpableBehavior::NotDumpable);
    }
}
