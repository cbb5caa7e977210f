//! Whose namespaces are whose, as mk8s-apiserver is told.

use serde::Deserialize;

use crate::label;

/// A namespace is a team's by a label, and somebody is in a team by a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Teams {
    /// The label of a namespace that says whose it is.
    pub team_label: String,
    /// Taken off a group's name before it is a team's.
    pub group_prefix: String,
    /// Groups whose teams are called otherwise.
    pub teams: Vec<TeamsOfGroup>,
}

/// The teams of whoever is in a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamsOfGroup {
    /// The group.
    pub group: String,
    /// Its teams.
    pub teams: Vec<String>,
}

/// What no label can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTeams {
    /// The key.
    #[error("team_label: {0:?} is no label's key; write [PREFIX/]NAME")]
    Label(String),
    /// A team.
    #[error("teams: {0:?} is no value of a label, so no namespace can have it")]
    Team(String),
}

impl Default for Teams {
    fn default() -> Self {
        Self {
            team_label: "team".to_owned(),
            group_prefix: String::new(),
            teams: Vec::new(),
        }
    }
}

impl Teams {
    /// Says what can't be meant.
    ///
    /// # Errors
    /// [`InvalidTeams`], with what no label can say.
    pub fn check(&self) -> Result<(), InvalidTeams> {
        if !label::is_key(&self.team_label) {
            return Err(InvalidTeams::Label(self.team_label.clone()));
        }
        match self
            .teams
            .iter()
            .flat_map(|of| &of.teams)
            .find(|team| !label::is_value(team))
        {
            Some(team) => Err(InvalidTeams::Team(team.clone())),
            None => Ok(()),
        }
    }

    /// The teams of somebody in these groups, as far as a label can name them. What Kubernetes itself puts people into is
    /// nobody's team, unless it is said to be.
    pub fn of<'a>(&'a self, groups: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let of_group = |group: &'a str| -> Vec<&'a str> {
            let named = self.teams.iter().filter(|of| of.group == group);
            let said: Vec<&str> = named.flat_map(|of| of.teams.iter().map(String::as_str)).collect();
            if !said.is_empty() || group.starts_with("system:") {
                return said;
            }
            group
                .strip_prefix(self.group_prefix.as_str())
                .into_iter()
                .collect()
        };
        let teams = groups.into_iter().flat_map(of_group);
        teams.filter(|team| label::is_value(team)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_a_team_unless_said_otherwise() {
        let groups = [
            "dev",
            "oidc:ops",
            "system:masters",
            "a b",
            "admins",
            "system:nodes",
        ];
        assert_eq!(Teams::default().of(groups), ["dev", "admins"]);
        let named = |group: &str, teams: &[&str]| TeamsOfGroup {
            group: group.to_owned(),
            teams: teams.iter().map(|team| (*team).to_owned()).collect(),
        };
        let teams = Teams {
            group_prefix: "oidc:".to_owned(),
            teams: vec![named("admins", &["x", "y"]), named("system:nodes", &["machines"])],
            ..Teams::default()
        };
        assert_eq!(teams.of(groups), ["ops", "x", "y", "machines"]);
    }

    #[test]
    fn a_group_that_looks_like_a_selector_is_no_team() {
        for group in ["a,b", "a) , team notin (x", "!team", "a=b", "", " a"] {
            assert_eq!(Teams::default().of([group]), [""; 0], "{group}");
        }
    }

    #[test]
    fn what_no_label_can_say_is_refused() {
        let label = Teams {
            team_label: "a b".to_owned(),
            ..Teams::default()
        };
        assert_eq!(label.check(), Err(InvalidTeams::Label("a b".to_owned())));
        let team = Teams {
            teams: vec![TeamsOfGroup {
                group: "x".to_owned(),
                teams: vec!["a".to_owned(), "a,b".to_owned()],
            }],
            ..Teams::default()
        };
        assert_eq!(team.check(), Err(InvalidTeams::Team("a,b".to_owned())));
        assert_eq!(Teams::default().check(), Ok(()));
    }
}
