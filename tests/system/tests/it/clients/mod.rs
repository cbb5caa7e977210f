//! Ordinary clients, unmodified, in pods: what they do at the API server, they must be able to do wherever a pod's requests are led.

mod checks;
mod kubectl;

use checks::Pods;
use mk8s_testkit::pod::Client;

/// Each check for one client.
macro_rules! tests_of {
    ($module:ident, $client:expr) => {
        mod $module {
            use super::{Client, Pods, checks};

            #[test]
            fn creates_gets_lists_updates_patches_and_deletes() {
                checks::crud(&Pods::plain(), $client);
            }

            #[test]
            fn sees_each_change_of_what_it_watches() {
                checks::watch(&Pods::plain(), $client);
            }

            #[test]
            fn runs_commands_in_another_pod() {
                checks::exec(&Pods::plain(), $client);
            }

            #[test]
            fn is_the_pods_service_account() {
                checks::who_am_i(&Pods::plain(), $client);
            }

            #[test]
            fn gets_again_and_again_without_a_failure() {
                checks::get_repeatedly(&Pods::plain(), $client);
            }

            #[test]
            fn reads_the_pods_token() {
                let pods = Pods::plain();
                let pod = pods.resting("client");
                let token = pod.exec(["cat", checks::TOKEN]).ok().stdout;
                let answer = checks::read_token(&pod, $client);
                assert_eq!(answer, checks::token_read(&token));
            }
        }
    };
}

tests_of!(go, Client::Go);
tests_of!(python, Client::Python);
tests_of!(node, Client::Node);
tests_of!(rust, Client::Rust);
