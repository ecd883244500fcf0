//! Environments of GitLab's jobs: deployed to, stopped by the job that is named for it, by the clock, with their branch.
//! And files that pipelines include from elsewhere.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Clone, Server, ServerOptions, databases, until};

const PIPELINE: &str = "
deploy:
  script: ['echo HOST=app.example > made.env', 'mkdir site', 'echo hi > site/index.html']
  environment: {name: review/$CI_COMMIT_REF_SLUG, url: 'https://$HOST/$CI_COMMIT_REF_SLUG', on_stop: stop, auto_stop_in: 1 week}
  artifacts: {paths: [site], expose_as: The site, reports: {dotenv: made.env}}
stop:
  needs: [deploy]
  when: manual
  script: ['echo stopping $CI_ENVIRONMENT_NAME $CI_ENVIRONMENT_ACTION', 'test ! -e fail']
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}
";

struct House {
    server: Server,
    ann: Api,
    token: String,
    clone: Clone,
}

fn house(database: testkit::Database, options: &ServerOptions) -> House {
    let server = Server::start_with(database, options);
    let token = server.user_token("ann");
    let ann = server.anonymous().token(&token);
    ann.post("/projects/create", &json!({ "name": "web" })).expect(201);
    let clone = Clone::of(server.url(), &token, "ann/web", &server.scratch("clones").join("web"));
    clone.git(&["checkout", "-q", "-B", "main"]);
    House { server, ann, token, clone }
}

impl House {
    fn environments(&self) -> Vec<Value> {
        self.ann.get("/projects/ann%2Fweb/job-environments").expect(200).items()
    }

    fn wait(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(what, Duration::from_secs(60), || self.environments().into_iter().find(|e| holds(e)))
    }

    fn run(&self, commit: &str) -> Value {
        let path = format!("/projects/ann%2Fweb/runs?commit={commit}");
        let run = until("a run", Duration::from_secs(60), || self.ann.get(&path).expect(200).items().first().cloned());
        let path = format!("/runs/{}", run["id"].as_str().unwrap());
        until("its end", Duration::from_secs(60), || {
            let run = self.ann.get(&path).expect(200).json;
            (run["state"] == "completed").then_some(run)
        })
    }
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

#[test]
fn environments_are_deployed_to_and_stopped() {
    for database in databases() {
        let h = house(database, &ServerOptions::default());
        h.clone.write(".gitlab-ci.yml", PIPELINE);
        let run = h.run(&h.clone.push("first"));
        assert_eq!(run["conclusion"], "success", "{run:#}");
        let e = h.wait("the environment", |e| e["state"] == "available");
        assert_eq!((text(&e, "name"), text(&e, "tier"), text(&e, "url")), ("review/main", "development", "https://app.example/main"));
        assert!(e["auto_stop_at"].is_string() && e["run"] == run["id"], "{e}");
        let artifacts = h.ann.get(&format!("/runs/{}/artifacts", text(&run, "id"))).expect(200).items();
        assert_eq!(artifacts[0]["exposed_as"], "The site");

        // who may only read does not stop it, who may not know of it does not see it
        let path = format!("/job-environments/{}", text(&e, "id"));
        let reader = h.server.user("rea");
        h.ann.put("/projects/ann%2Fweb/members/rea", &json!({ "role": "reporter" })).expect(204);
        reader.post(&format!("{path}/stop"), &json!({})).problem(403, "forbidden");
        h.server.user("out").get(&path).problem(404, "not_found");
        h.ann.delete(&path).problem(409, "conflict");

        // its job stops it; nobody else has to be told
        let stopping = h.ann.post(&format!("{path}/stop"), &json!({})).expect(200).json;
        assert_eq!(stopping["state"], "stopping", "{stopping}");
        h.wait("its end", |e| e["state"] == "stopped");
        let log = h.ann.get(&format!("/jobs/{}/log", text(&stopping, "stop_job"))).text();
        assert!(log.contains("stopping review/main stop"), "{log}");
        // a second time is no mistake
        assert_eq!(h.ann.post(&format!("{path}/stop"), &json!({})).expect(200).json["state"], "stopped");

        // a job that fails to stop it says so; its word alone can be enough
        h.clone.write("fail", "");
        h.run(&h.clone.push("second"));
        h.wait("the environment again", |e| e["state"] == "available");
        h.ann.post(&format!("{path}/stop"), &json!({})).expect(200);
        let e = h.wait("the failure", |e| e["detail"].is_string());
        assert_eq!((text(&e, "state"), text(&e, "detail")), ("available", "the job that stops it ended as failure"));
        h.ann.post(&format!("{path}/stop"), &json!({})).problem(409, "conflict");
        assert_eq!(h.ann.post(&format!("{path}/stop"), &json!({ "force": true })).expect(200).json["state"], "stopped");
        h.ann.delete(&path).expect(204);
        assert!(h.environments().is_empty());

        // by the clock, and with its branch
        h.clone.git(&["rm", "-q", "fail"]);
        h.clone.write(".gitlab-ci.yml", &PIPELINE.replace("1 week", "2 seconds"));
        h.run(&h.clone.push("third"));
        let e = h.wait("the time to be over", |e| e["state"] == "stopped");
        assert!(e["auto_stop_at"].is_null() && e["stop_job"].is_null(), "{e}");
        h.clone.git(&["checkout", "-q", "-b", "topic"]);
        h.clone.write(".gitlab-ci.yml", PIPELINE);
        h.clone.commit("fourth");
        h.clone.git(&["push", "--quiet", "origin", "topic"]);
        h.wait("that of the branch", |e| text(e, "name") == "review/topic" && e["state"] == "available");
        h.clone.git(&["push", "--quiet", "origin", ":topic"]);
        h.wait("its end with the branch", |e| text(e, "name") == "review/topic" && e["state"] == "stopped");
        let stopped = h.ann.get("/projects/ann%2Fweb/job-environments?state=stopped").expect(200).items();
        assert_eq!(stopped.iter().map(|e| text(e, "name")).collect::<Vec<_>>(), ["review/main", "review/topic"]);
        h.ann.get("/projects/ann%2Fweb/job-environments?state=gone").problem(422, "validation_failed");
    }
}

#[test]
fn resource_groups_take_their_turns() {
    for database in databases() {
        let h = house(database, &ServerOptions::default().set("runner_capacity", "4"));
        let groups = "/projects/ann%2Fweb/resource-groups";
        h.ann.put(&format!("{groups}/place"), &json!({ "process_mode": "random" })).problem(422, "validation_failed");
        let said = h.ann.put(&format!("{groups}/Place"), &json!({ "process_mode": "newest_ready_first" })).expect(200).json;
        assert_eq!((text(&said, "name"), text(&said, "process_mode")), ("place", "newest_ready_first"));
        assert_eq!(h.ann.get(groups).expect(200).items().len(), 1);
        h.clone.write(".gitlab-ci.yml", "workflow: {auto_cancel: {on_new_commit: none}}\na: {resource_group: place, script: [sleep 5]}\n");
        let commits: Vec<String> = (0..3)
            .map(|n| {
                h.clone.write("n", &n.to_string());
                let commit = h.clone.push("again");
                // each is made before the next comes
                until("a run", Duration::from_secs(30), || {
                    h.ann.get(&format!("/projects/ann%2Fweb/runs?commit={commit}")).expect(200).items().first().cloned()
                });
                commit
            })
            .collect();
        let began = |commit: &str| h.run(commit)["jobs"][0]["started_at"].as_str().unwrap_or_default().to_owned();
        let (first, second, third) = (began(&commits[0]), began(&commits[1]), began(&commits[2]));
        assert!(first < third && third < second, "{first} {third} {second}");
    }
}

/// Serves one text at every path.
fn files(body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).unwrap_or(0);
            let found = String::from_utf8_lossy(&bytes[..n]).starts_with("GET /ci.yml");
            let (status, body) = if found { ("200 OK", body) } else { ("404 Not Found", "") };
            let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        }
    });
    address
}

#[test]
fn files_are_included_from_elsewhere() {
    for database in databases() {
        let address = files("far:\n  script: [echo from afar]\n");
        let open = ServerOptions::default().set("include_hosts", "127.0.0.1").set("egress_allow", "127.0.0.1");
        let h = house(database, &open);
        let parts = h.ann.post("/projects/create", &json!({ "name": "parts" })).expect(201);
        assert_eq!(parts.str("name"), "parts");
        let clone = Clone::of(h.server.url(), &h.token, "ann/parts", &h.server.scratch("clones").join("parts"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        for version in ["1.2.0", "1.10.0", "2.0.0", "3.0.0-rc"] {
            clone.write(
                "templates/say.yml",
                &format!("spec: {{inputs: {{job: {{default: say}}}}}}\n---\n$[[ inputs.job ]]:\n  script: [echo version {version}]\n"),
            );
            clone.push(version);
            clone.git(&["tag", version]);
        }
        clone.git(&["push", "--quiet", "origin", "--tags"]);
        let host = h.server.url().trim_start_matches("http://").to_owned();
        let text_of = |includes: &str| format!("include:\n{includes}");
        h.clone.write(
            ".gitlab-ci.yml",
            &text_of(&format!(
                "- remote: {address}/ci.yml\n- {{component: {host}/ann/parts/say@~latest, inputs: {{job: newest}}}}\n\
                 - {{component: $CI_SERVER_FQDN/ann/parts/say@1, inputs: {{job: one}}}}\n- {{component: {host}/ann/parts/say@1.2, inputs: {{job: two}}}}\n\
                 - {{component: {host}/ann/parts/say@3.0.0-rc, inputs: {{job: named}}}}\n- template: Workflows/Branch-Pipelines.gitlab-ci.yml\n"
            )),
        );
        let run = h.run(&h.clone.push("first"));
        assert_eq!(run["conclusion"], "success", "{run:#}");
        let log = |name: &str| {
            let job = run["jobs"].as_array().unwrap().iter().find(|j| j["name"] == name).unwrap_or_else(|| panic!("{name}"));
            h.ann.get(&format!("/jobs/{}/log", text(job, "id"))).text()
        };
        for (job, line) in [
            ("far", "from afar"),
            ("newest", "version 2.0.0"),
            ("one", "version 1.10.0"),
            ("two", "version 1.2.0"),
            ("named", "version 3.0.0-rc"),
        ] {
            assert!(log(job).contains(line), "{job}: {}", log(job));
        }
        let why = h.ann.get(&format!("/runs/{}/why", text(&run, "id"))).expect(200).json;
        assert_eq!(why["includes"][0]["file"], format!("{address}/ci.yml"));
        assert!(text(&why["includes"][0], "digest").starts_with("sha256:"), "{why}");

        for (include, said) in [
            (
                format!("- {{remote: '{address}/ci.yml', integrity: 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='}}\n"),
                "is not what `integrity` says",
            ),
            (format!("- remote: {address}/none.yml\n"), "its server answers 404"),
            ("- remote: http://files.example/ci.yml\n".into(), "fetches no files from `files.example`"),
            (format!("- component: {host}/ann/parts/say@7\n"), "a version `7` does not exist"),
            ("- template: Nodejs.gitlab-ci.yml\n".into(), "not part of this service"),
        ] {
            h.clone.write(".gitlab-ci.yml", &format!("{}a: {{script: x}}\n", text_of(&include)));
            let run = h.run(&h.clone.push("wrong"));
            let told = run["diagnostics"].to_string();
            assert!(run["conclusion"] == "failure" && told.contains(said), "{include}: {told}");
        }
    }
}
