//! Ordinary clients, unmodified, in pods: what they do at the API server, they do through the sidecar.

mod checks;
mod kubectl;
mod ten_minutes;

pub(crate) use checks::Pods;
use mk8s_testkit::pod::Client;

/// Each check for one client.
macro_rules! tests_of {
    ($module:ident, $client:expr, $pods:expr) => {
        mod $module {
            use super::super::{Client, Pods, checks};

            #[test]
            fn creates_gets_lists_updates_patches_and_deletes() {
                checks::crud(&$pods, $client);
            }

            #[test]
            fn sees_each_change_of_what_it_watches() {
                checks::watch(&$pods, $client);
            }

            #[test]
            fn runs_commands_in_another_pod() {
                checks::exec(&$pods, $client);
            }

            #[test]
            fn is_the_pods_service_account() {
                checks::who_am_i(&$pods, $client);
            }

            #[test]
            fn gets_again_and_again_without_a_failure() {
                checks::get_repeatedly(&$pods, $client);
            }

            #[test]
            fn reads_the_pods_token() {
                checks::finds_the_token(&$pods, $client);
            }
        }
    };
}

/// At the API server itself: what the others are measured by.
mod straight {
    tests_of!(go, Client::Go, Pods::plain());
    tests_of!(python, Client::Python, Pods::plain());
    tests_of!(node, Client::Node, Pods::plain());
    tests_of!(rust, Client::Rust, Pods::plain());
}

/// Through the sidecar.
mod injected {
    tests_of!(go, Client::Go, Pods::injected());
    tests_of!(python, Client::Python, Pods::injected());
    tests_of!(node, Client::Node, Pods::injected());
    tests_of!(rust, Client::Rust, Pods::injected());
}
