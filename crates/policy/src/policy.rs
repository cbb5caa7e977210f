//! The policy: roles by name, asked on every request.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use mk8s_model::{ClusterName, Decision, Denial, Grant, Identity, KubeRequest};

use crate::{Permission, PolicyError, PolicySpec, Problem, UserSpec, denial, discovery, rule::Rule, yaml};

/// Roles, ready to be asked. Made once, then shared; a changed policy is a new one with another version.
#[derive(Debug)]
pub struct Policy {
    version: u64,
    roles: HashMap<Box<str>, Role>,
    names: Vec<String>,
    users: Vec<UserSpec>,
    discovery: Arc<str>,
}

#[derive(Debug)]
struct Role {
    rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy from YAML. `version` is put into every decision.
    ///
    /// # Errors
    /// [`PolicyError`] with line and key.
    pub fn from_yaml(text: &str, version: u64) -> Result<Self, PolicyError> {
        let spec = yaml::parse(text)?;
        Self::new(&spec, version).map_err(|error| yaml::with_line(error, text))
    }

    /// Prepares a policy. `version` is put into every decision.
    ///
    /// # Errors
    /// [`PolicyError`] with the key.
    pub fn new(spec: &PolicySpec, version: u64) -> Result<Self, PolicyError> {
        let mut roles = HashMap::new();
        let mut names = Vec::new();
        for (at, role) in spec.roles.iter().enumerate() {
            let key = format!("roles[{at}]");
            let fail = |problem| Err(PolicyError::at(format!("{key}.name"), problem));
            if role.name.trim().is_empty() {
                return fail(Problem::EmptyName);
            }
            if role.name.chars().any(char::is_control) {
                return fail(Problem::ControlCharacter);
            }
            let rules = role.clusters.iter().enumerate().map(|(at, written)| {
                Rule::new(
                    written,
                    format!("{}/clusters[{at}]", role.name),
                    &format!("{key}.clusters[{at}]"),
                )
            });
            let rules = rules.collect::<Result<_, _>>()?;
            if roles
                .insert(Box::from(role.name.as_str()), Role { rules })
                .is_some()
            {
                return fail(Problem::DuplicateRole(role.name.clone()));
            }
            names.push(role.name.clone());
        }
        check_users(&spec.users, &names)?;
        Ok(Self {
            version,
            roles,
            names,
            users: spec.users.clone(),
            discovery: discovery::RULE.into(),
        })
    }

    /// The version given when it was made.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The roles' names, in the order written.
    pub fn role_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is such a role.
    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }

    /// The users that the policy itself gives roles to, in the order written.
    pub fn users(&self) -> &[UserSpec] {
        &self.users
    }

    /// Whether someone with these roles may do this there. Names of roles that don't exist give nothing. The first
    /// rule that matches, in the order of `roles`, is the one named.
    ///
    /// Allocates nothing unless the answer is no.
    pub fn decide<R: AsRef<str>>(
        &self,
        roles: &[R],
        identity: &Identity,
        cluster: &ClusterName,
        request: &KubeRequest<'_>,
    ) -> Decision {
        let mut any = false;
        for rule in self.rules(roles, cluster) {
            any = true;
            if rule.allows(request) {
                return self.allow(&rule.name);
            }
        }
        if any && discovery::covers(request) {
            return self.allow(&self.discovery);
        }
        let rules = self.rules(roles, cluster);
        let reason = denial::reason(roles, rules, identity, cluster, request);
        Decision::Deny(Denial {
            reason,
            policy_version: self.version,
        })
    }

    /// Whether someone with these roles has anything to do with the cluster. A cluster that may not be seen should be
    /// answered as one that doesn't exist.
    pub fn may_see<R: AsRef<str>>(&self, roles: &[R], cluster: &ClusterName) -> bool {
        self.rules(roles, cluster).next().is_some()
    }

    /// Those of the clusters that someone with these roles may see, in the order given.
    pub fn visible_clusters<'c, R: AsRef<str>>(
        &self,
        roles: &[R],
        clusters: impl IntoIterator<Item = &'c ClusterName>,
    ) -> Vec<&'c ClusterName> {
        clusters
            .into_iter()
            .filter(|cluster| self.may_see(roles, cluster))
            .collect()
    }

    /// What these roles give on the cluster, for people.
    pub fn describe<R: AsRef<str>>(&self, roles: &[R], cluster: &ClusterName) -> Vec<Permission> {
        self.rules(roles, cluster).map(Permission::new).collect()
    }

    fn rules<'p, R: AsRef<str>>(
        &'p self,
        roles: &'p [R],
        cluster: &'p ClusterName,
    ) -> impl Iterator<Item = &'p Rule> {
        roles
            .iter()
            .filter_map(|name| self.roles.get(name.as_ref()))
            .flat_map(|role| &role.rules)
            .filter(|rule| rule.cluster.matches(cluster.as_str()))
    }

    fn allow(&self, rule: &Arc<str>) -> Decision {
        Decision::Allow(Grant {
            rule: rule.clone(),
            policy_version: self.version,
        })
    }
}

fn check_users(users: &[UserSpec], roles: &[String]) -> Result<(), PolicyError> {
    let mut seen = HashSet::new();
    for (at, user) in users.iter().enumerate() {
        let fail = |part: &str, problem| Err(PolicyError::at(format!("users[{at}].{part}"), problem));
        if user.email.trim().is_empty() {
            return fail("email", Problem::EmptyName);
        }
        if user.email.chars().any(char::is_control) {
            return fail("email", Problem::ControlCharacter);
        }
        if !seen.insert(&user.email) {
            return fail("email", Problem::DuplicateUser(user.email.clone()));
        }
        for (index, name) in user.roles.iter().enumerate() {
            if !roles.contains(name) {
                let known = match roles {
                    [] => "there are no roles".to_owned(),
                    some => format!("there are {}", some.join(", ")),
                };
                return fail(
                    &format!("roles[{index}]"),
                    Problem::UnknownRole {
                        name: name.clone(),
                        known,
                    },
                );
            }
        }
    }
    Ok(())
}
