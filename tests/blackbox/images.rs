//! Where images come from: stated by the control plane, found by whoever has the image, checked without the server.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Api, Cli, Clone, Server, databases, run, until};

const WORKFLOW: &str = "on: push
jobs:
  pack:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: devmentor/build-image@v1
        with: {tags: v1, push: true}
      - uses: devmentor/build-image@v1
        with: {image: 'ann/app/tool', file: tool.Dockerfile, tags: v1, push: true}
      - run: test ! -e broken
";

fn end_of(ann: &Api, commit: &str) -> Value {
    let run = until("a run", Duration::from_secs(60), || {
        ann.get(&format!("/projects/ann%2Fapp/runs?commit={commit}")).expect(200).items().first().cloned()
    });
    until("its end", Duration::from_secs(120), || {
        let run = ann.get(&format!("/runs/{}", run["id"].as_str().unwrap())).expect(200).json;
        (run["state"] == "completed").then_some(run)
    })
}

#[test]
fn images_say_where_they_come_from() {
    for database in databases() {
        let server = Server::start(database);
        let token = server.user_token("ann");
        let ann = server.anonymous().token(&token);
        ann.post("/projects/create", &json!({ "name": "app" })).expect(201);
        let clone = Clone::of(server.url(), &token, "ann/app", &server.scratch("app"));
        clone.git(&["checkout", "-q", "-B", "main"]);
        clone.write(".github/workflows/ci.yml", WORKFLOW);
        clone.write("Dockerfile", "FROM scratch\nCOPY Dockerfile /app\nENTRYPOINT [\"/app\"]\n");
        clone.write("tool.Dockerfile", "FROM scratch\nCOPY tool.Dockerfile /tool\nENTRYPOINT [\"/tool\"]\n");
        let commit = clone.push("two images");
        let built = end_of(&ann, &commit);
        let log = ann.get(&format!("/jobs/{}/log", built["jobs"][0]["id"].as_str().unwrap())).text();
        assert_eq!(built["conclusion"], "success", "{log}");

        let id = built["id"].as_str().unwrap();
        let listed = until("the statements", Duration::from_secs(30), || {
            let answer = ann.get(&format!("/runs/{id}/provenance")).expect(200);
            (answer.items().len() == 2).then_some(answer)
        });
        let names: Vec<String> = listed.items().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect();
        let digest = listed.items()[1]["digest"].as_str().unwrap().to_owned();
        assert!(names[0].starts_with("ann/app/tool@sha256:") && names[1] == format!("ann/app@{digest}"), "{names:?}");

        // by tag, by digest, of the other image
        let scratch = server.scratch("cli");
        std::fs::create_dir_all(&scratch).unwrap();
        let cli = Cli::signed_in(&scratch, server.url(), &token);
        for image in ["ann/app:v1", "ann/app/tool:v1", &names[1], &digest] {
            let said = cli.json(&["provenance", "verify", "--image", image, "--project", "ann/app", "--commit", &commit]);
            assert_eq!((said["commit"].as_str(), said["workflow"]["path"].as_str()), (Some(&*commit), Some(".github/workflows/ci.yml")));
        }
        let refused = cli.try_run(&["provenance", "verify", "--image", &format!("sha256:{}", "0".repeat(64)), "--project", "ann/app"]);
        assert!(refused.status.code() == Some(1) && String::from_utf8_lossy(&refused.stderr).contains("no statement"), "{refused:?}");
        let refused = cli.try_run(&["provenance", "verify", "--image", "ann/app:v2", "--project", "ann/app"]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("no image"), "{refused:?}");
        server.user("eve").get(&format!("/projects/ann%2Fapp/provenance?digest={digest}")).problem(404, "not_found");

        // found beside the image as OCI says, and checked with the public keys alone
        let found = ann.get(&format!("/v2/ann/app/referrers/{digest}")).expect(200).json;
        let kind = "application/vnd.in-toto.provenance+dsse";
        assert_eq!((found["manifests"].as_array().unwrap().len(), &found["manifests"][0]["artifactType"]), (1, &json!(kind)), "{found}");
        let referrer = found["manifests"][0]["digest"].as_str().unwrap();
        let manifest = ann.get(&format!("/v2/ann/app/manifests/{referrer}")).expect(200).json;
        assert_eq!(manifest["subject"]["digest"], digest.as_str());
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        let envelope = ann.get(&format!("/v2/ann/app/blobs/{layer}")).expect(200);
        let path = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
        std::fs::write(path("envelope.json"), &envelope.bytes).unwrap();
        std::fs::write(path("keys.json"), server.anonymous().get("/provenance/keys").expect(200).text()).unwrap();
        let builder = format!("{}/builders/pipeline", server.url());
        let (bundle, keys) = (path("envelope.json"), path("keys.json"));
        let given = ["--bundle", &bundle, "--keys", &keys, "--builder", &builder, "--commit", &commit];
        let offline = Cli::signed_out(&scratch);
        offline.run(&[&["provenance", "verify", "--image", &digest], &given[..]].concat());

        // what a person pushes has no such statement, and neither has what a run made that failed
        let host = server.url().trim_start_matches("http://");
        let (from, to) = (format!("docker://{host}/ann/app:v1"), format!("docker://{host}/ann/app/copy:v1"));
        let credentials = format!("ann:{token}");
        let copy = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds", &credentials, "--dest-creds", &credentials];
        run(&scratch, "skopeo", &[&copy[..], &[&from, &to]].concat());
        assert_eq!(ann.get(&format!("/v2/ann/app/copy/referrers/{digest}")).expect(200).json["manifests"], json!([]));
        clone.write("broken", "");
        clone.write("Dockerfile", "FROM scratch\nCOPY broken /app\n");
        let failed = end_of(&ann, &clone.push("a failure"));
        assert_eq!(failed["conclusion"], "failure");
        std::thread::sleep(Duration::from_millis(1500));
        assert!(ann.get(&format!("/runs/{}/provenance", failed["id"].as_str().unwrap())).expect(200).items().is_empty());
        let now = ann.get("/v2/ann/app/manifests/v1").expect(200).header("docker-content-digest").to_owned();
        assert_ne!(now, digest);
        assert_eq!(ann.get(&format!("/v2/ann/app/referrers/{now}")).expect(200).json["manifests"], json!([]));
    }
}
