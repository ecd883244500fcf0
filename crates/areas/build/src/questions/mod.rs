//! What running jobs ask of people: `input` of a Jenkinsfile. And `milestone`, which runs pass in their order.
//!
//! Invariants: a question is asked once, however often the runner repeats it; it has one answer; only those it names may
//! give it, and administrators.
//!
//! Must not know: what the job does with the answer.

use std::time::Duration;

use dialects::jenkins::interp::{Answer, Question};
use indexmap::IndexMap;
use kernel::{Actor, Code, Context, Error, FieldError, JobId, JobQuestionId, Result, Timestamp};
use serde_json::{Map, Value, json};
use store::Tx;
use store::job::JobRow;
use store::job_question::{
    JobQuestionRow, Milestone, job_question_answer, job_question_by_key, job_question_count, job_question_create, job_question_list,
    milestone_pass,
};
use store::run::{RunRow, run_get};
use web_kit::App;

/// Most questions of one job.
const MAX_QUESTIONS: i64 = 500;
/// Most parameters of one question.
const MAX_PARAMETERS: usize = 50;
/// Most bytes of a question, and of a text in an answer.
const MAX_BYTES: usize = 64 << 10;

/// What somebody says to a job.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Values of parameters by name.
    pub parameters: Map<String, Value>,
    /// It is not to go on.
    pub abort: bool,
    /// Which question, where several are open.
    pub question: Option<String>,
}

/// The topic of a job's answers.
fn topic(job: JobId) -> String {
    format!("question:{job}")
}

/// Writes down what a job asks, in the transaction that holds its lease.
///
/// # Errors
/// `too_large`; the database's.
pub(crate) async fn ask(tx: &mut Tx, row: &JobRow, question: &Question) -> Result<()> {
    let body = json!(question);
    if body.to_string().len() > MAX_BYTES || question.parameters.len() > MAX_PARAMETERS || question.key.len() > 100 {
        return Err(Error::field("question", "too_large", format!("at most {MAX_BYTES} bytes and {MAX_PARAMETERS} parameters")));
    }
    let asked = JobQuestionRow {
        id: JobQuestionId::new(),
        job: row.id,
        run: row.run,
        key: question.key.clone(),
        question: body,
        answer: None,
        by: None,
        created_at: Timestamp::now(),
        answered_at: None,
    };
    if job_question_by_key(&mut *tx, row.id, &question.key).await?.is_some() {
        return Ok(());
    }
    if job_question_count(&mut *tx, row.id).await? >= MAX_QUESTIONS {
        return Err(Error::new(Code::Unprocessable, format!("a job asks at most {MAX_QUESTIONS} questions")));
    }
    if job_question_create(tx, &asked).await? {
        tx.wake(format!("run:{}", row.run));
    }
    Ok(())
}

/// Waits a while for the answer to a question.
///
/// # Errors
/// The database's.
pub(crate) async fn wait(app: &App, job: JobId, key: &str, at_most: Duration) -> Result<Option<Answer>> {
    let mut waiter = app.db().wake().subscribe();
    if let Some(answer) = look(app, job, key).await? {
        return Ok(Some(answer));
    }
    let (answered, cancelled) = (topic(job), format!("cancel:{job}"));
    waiter.wait(at_most, |t| t == answered || t == cancelled).await;
    look(app, job, key).await
}

async fn look(app: &App, job: JobId, key: &str) -> Result<Option<Answer>> {
    let row = job_question_by_key(app.db(), job, key).await?;
    row.and_then(|r| r.answer).map(serde_json::from_value).transpose().map_err(Error::internal)
}

/// Answers what a running job asks.
///
/// # Errors
/// `conflict` when it asks nothing, or several things and none is named; `forbidden`, `validation_failed`.
pub(crate) async fn answer(app: &App, ctx: &Context, row: &JobRow, said: &Said) -> Result<()> {
    let open = job_question_list(app.db(), row.id).await?;
    let chosen = match (&said.question, open.as_slice()) {
        (Some(id), _) => open.iter().find(|q| q.id.to_string() == *id),
        (None, [one]) => Some(one),
        (None, []) => None,
        (None, _) => return Err(Error::new(Code::Conflict, "the job asks several things: name the `question`")),
    };
    let Some(asked) = chosen else { return Err(Error::new(Code::Conflict, "the job does not ask anything")) };
    let question: Question = serde_json::from_value(asked.question.clone()).map_err(Error::internal)?;
    let by = match &ctx.actor {
        Actor::User { name, admin, .. } if question.submitters.is_empty() || *admin || question.submitters.contains(name) => name.clone(),
        Actor::User { .. } => {
            return Err(Error::new(Code::Forbidden, format!("only {} may answer", question.submitters.join(", "))));
        }
        _ => return Err(Error::new(Code::Forbidden, "people answer, not programs")),
    };
    let values = if said.abort { IndexMap::new() } else { values(&question, &said.parameters)? };
    let answer = Answer { proceed: !said.abort, values, by };
    let mut tx = app.db().begin().await?;
    if !job_question_answer(&mut tx, asked.id, &json!(answer), ctx.user(), ctx.now).await? {
        return Err(Error::new(Code::Conflict, "somebody else has answered"));
    }
    tx.wake(topic(row.id));
    tx.wake(format!("run:{}", row.run));
    tx.keep(app.receipt(ctx, &row.id)?).await?;
    tx.commit().await
}

/// The values of all parameters: what was given, else their defaults.
fn values(question: &Question, given: &Map<String, Value>) -> Result<IndexMap<String, Value>> {
    let mut wrong: Vec<FieldError> = Vec::new();
    let mut bad = |name: &str, why: &str| {
        wrong.push(FieldError { field: format!("parameters.{name}"), code: "invalid", message: why.to_owned() });
    };
    for name in given.keys().filter(|n| !question.parameters.iter().any(|p| p.name == **n)) {
        bad(name, "the question has no such parameter");
    }
    let mut values = IndexMap::new();
    for parameter in &question.parameters {
        let value = given.get(&parameter.name).cloned().unwrap_or_else(|| parameter.default.clone());
        let fine = match (parameter.kind.as_str(), &value) {
            ("boolean", Value::Bool(_)) => true,
            ("choice", Value::String(s)) => parameter.choices.contains(s),
            ("string" | "text", Value::String(s)) => s.len() <= MAX_BYTES && !s.contains('\0'),
            _ => false,
        };
        if !fine {
            let expected = match parameter.kind.as_str() {
                "boolean" => "true or false".to_owned(),
                "choice" => format!("one of {}", parameter.choices.join(", ")),
                _ => format!("a text of at most {MAX_BYTES} bytes"),
            };
            bad(&parameter.name, &expected);
        }
        values.insert(parameter.name.clone(), value);
    }
    if wrong.is_empty() { Ok(values) } else { Err(Error::fields(wrong)) }
}

/// A job's run is at a milestone: the number of the newer run that has passed it, if one has. Older ones are stopped.
///
/// # Errors
/// The database's.
pub(crate) async fn milestone(app: &App, row: &JobRow, ordinal: i64) -> Result<Option<i64>> {
    let run: RunRow = run_get(app.db(), row.run).await?.ok_or_else(|| Error::not_found("run"))?;
    let at = Milestone { run: run.id, project: run.project, workflow: &run.workflow, r#ref: &run.r#ref, number: run.number, ordinal };
    let mut tx = app.db().begin().await?;
    let passed = milestone_pass(&mut tx, &at).await?;
    tx.commit().await?;
    let older = match passed {
        Ok(older) => older,
        Err(newer) => return Ok(Some(newer)),
    };
    for id in older {
        let reason = format!("superseded by #{} at milestone {ordinal}", run.number);
        match crate::schedule::finish::cancel(app.db(), id, &reason).await {
            Err(e) if !e.is(Code::Conflict) => return Err(e),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialects::jenkins::interp::Parameter;

    #[test]
    fn answers_are_checked() {
        let parameter = |name: &str, kind: &str, default: Value, choices: &[&str]| Parameter {
            name: name.into(),
            kind: kind.into(),
            description: String::new(),
            default,
            choices: choices.iter().map(|c| (*c).to_owned()).collect(),
        };
        let question = Question {
            parameters: vec![
                parameter("WHERE", "choice", json!("a"), &["a", "b"]),
                parameter("SURE", "boolean", json!(false), &[]),
                parameter("NOTE", "string", json!("none"), &[]),
            ],
            ..Question::default()
        };
        let given = |v: Value| values(&question, v.as_object().unwrap());
        let all = given(json!({"WHERE": "b", "SURE": true})).unwrap();
        assert_eq!(json!(all), json!({"WHERE": "b", "SURE": true, "NOTE": "none"}));
        for wrong in [json!({"WHERE": "c"}), json!({"SURE": "yes"}), json!({"NOTE": 1}), json!({"OTHER": ""}), json!({"NOTE": "\0"})] {
            assert!(given(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
