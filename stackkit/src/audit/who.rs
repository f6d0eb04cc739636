//! Who runs a command: the user and machine, and what a CI system says of the job that it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::line::cut;

/// CI systems: the variable that tells them, their name, and the variables that say who and which job.
const SYSTEMS: &[(&str, &str, &[&str])] = &[
    (
        "GITHUB_ACTIONS",
        "github",
        &[
            "GITHUB_ACTOR",
            "GITHUB_TRIGGERING_ACTOR",
            "GITHUB_REPOSITORY",
            "GITHUB_WORKFLOW",
            "GITHUB_RUN_ID",
            "GITHUB_RUN_ATTEMPT",
            "GITHUB_REF",
            "GITHUB_SHA",
        ],
    ),
    (
        "GITLAB_CI",
        "gitlab",
        &["GITLAB_USER_LOGIN", "CI_PROJECT_PATH", "CI_PIPELINE_ID", "CI_JOB_ID", "CI_COMMIT_REF_NAME", "CI_COMMIT_SHA"],
    ),
    (
        "BUILDKITE",
        "buildkite",
        &["BUILDKITE_BUILD_CREATOR", "BUILDKITE_BUILD_URL", "BUILDKITE_JOB_ID", "BUILDKITE_COMMIT"],
    ),
    ("CIRCLECI", "circleci", &["CIRCLE_USERNAME", "CIRCLE_BUILD_URL", "CIRCLE_WORKFLOW_ID", "CIRCLE_SHA1"]),
    (
        "TF_BUILD",
        "azure-pipelines",
        &["BUILD_REQUESTEDFOR", "SYSTEM_TEAMPROJECT", "BUILD_DEFINITIONNAME", "BUILD_BUILDID", "BUILD_SOURCEVERSION"],
    ),
    (
        "BITBUCKET_BUILD_NUMBER",
        "bitbucket",
        &["BITBUCKET_STEP_TRIGGERER_UUID", "BITBUCKET_REPO_FULL_NAME", "BITBUCKET_BUILD_NUMBER", "BITBUCKET_COMMIT"],
    ),
    (
        "CODEBUILD_BUILD_ID",
        "codebuild",
        &["CODEBUILD_INITIATOR", "CODEBUILD_BUILD_ID", "CODEBUILD_RESOLVED_SOURCE_VERSION"],
    ),
    ("JENKINS_URL", "jenkins", &["BUILD_USER_ID", "BUILD_URL", "GIT_COMMIT"]),
    ("TEAMCITY_VERSION", "teamcity", &["TEAMCITY_PROJECT_NAME", "TEAMCITY_BUILDCONF_NAME", "BUILD_NUMBER"]),
];

/// Who runs a command. All of it is what the machine says; nothing proves it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Who {
    /// User and host, such as `ada@laptop`.
    pub user: String,
    /// The number of the user, where the system has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The CI system, such as `github`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ci: Option<String>,
    /// What it says of the job, by the names of its variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub job: BTreeMap<String, String>,
}

impl Who {
    /// The user and job of this process; `user` is user and host.
    pub(crate) fn here(user: &str) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        Self { user: user.to_owned(), uid: uid(), ..Self::of_job(&variable) }
    }

    /// What the environment says of a job.
    fn of_job(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let Some((_, system, names)) = SYSTEMS.iter().find(|(mark, ..)| variable(mark).is_some()) else {
            return Self::default();
        };
        let job = names.iter().filter_map(|name| Some(((*name).to_owned(), cut(&variable(name)?)))).collect();
        Self { ci: Some((*system).to_owned()), job, ..Self::default() }
    }

    /// In one line: the person of a CI job, else user and host.
    pub fn words(&self) -> String {
        let Some(ci) = &self.ci else { return self.user.clone() };
        let names = SYSTEMS.iter().find(|(_, system, _)| system == ci).map_or(&[][..], |(.., names)| *names);
        match names.iter().find_map(|name| self.job.get(*name)) {
            Some(first) => format!("{first} ({ci})"),
            None => format!("{} ({ci})", self.user),
        }
    }
}

#[cfg(unix)]
fn uid() -> Option<u32> {
    Some(rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn uid() -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Who {
        let all: BTreeMap<_, _> = variables.iter().copied().collect();
        Who { user: "ci@box".into(), ..Who::of_job(&|name| all.get(name).map(|text| (*text).to_owned())) }
    }

    #[test]
    fn a_job_is_known_by_what_its_system_says() {
        let who =
            of(&[("GITHUB_ACTIONS", "true"), ("GITHUB_ACTOR", "ada"), ("GITHUB_RUN_ID", "7"), ("GITHUB_TOKEN", "x")]);
        assert_eq!((who.ci.as_deref(), who.words().as_str()), (Some("github"), "ada (github)"));
        assert_eq!(who.job.keys().collect::<Vec<_>>(), ["GITHUB_ACTOR", "GITHUB_RUN_ID"]);
        assert_eq!(of(&[("GITLAB_CI", "1"), ("GITLAB_USER_LOGIN", "bo")]).words(), "bo (gitlab)");
        assert_eq!(of(&[("JENKINS_URL", "http://j")]).words(), "ci@box (jenkins)");
        // Without its mark, a variable may be anybody's.
        assert_eq!(of(&[("GITHUB_ACTOR", "ada")]).words(), "ci@box");
    }
}
