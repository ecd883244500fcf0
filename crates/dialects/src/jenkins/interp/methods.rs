//! Methods of texts, lists, maps and the rest.

mod scalar;

use std::cmp::Ordering;
use std::sync::Arc;

use indexmap::IndexMap;

use super::ops::entry;
use super::value::{ClosureValue, Value, lock};
use super::{Context, Eval, Frame, Interp, exception};

/// `PreviousBuild` as `previousBuild`.
pub(super) fn uncapitalized(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|c| c.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

impl Interp<'_> {
    pub(super) fn method(&self, value: &Value, name: &str, args: Vec<Value>, f: &Frame<'_>, at: u32) -> Eval<Value> {
        let text = |i: usize| args.get(i).map(ToString::to_string).unwrap_or_default();
        // what every value has
        match (name, value) {
            ("toString", _) => return Ok(value.to_string().into()),
            ("equals", _) => return Ok(value.same(args.first().unwrap_or(&Value::Null)).into()),
            ("call", Value::Closure(closure)) => return self.invoke(closure, args, f.ctx, at),
            ("asBoolean", _) => return Ok(value.truth().into()),
            (_, Value::Null) => {
                return Err(exception("java.lang.NullPointerException", format!("Cannot invoke method {name}() on null object"), at));
            }
            ("with", _) => {
                if let Some(Value::Closure(closure)) = args.last() {
                    return self.invoke(closure, vec![value.clone()], f.ctx, at);
                }
            }
            ("getMessage" | "getLocalizedMessage", Value::Exception(e)) => return Ok(e.message.as_str().into()),
            ("getClass", _) => return Ok(value.class().into()),
            ("getEnvironment", Value::Env) => {
                return Ok(Value::map(self.env(f.ctx).into_iter().map(|(k, v)| (k, v.into())).collect()));
            }
            ("getProperty", Value::Env) => return self.property(value, &text(0), f.ctx, at),
            ("resultIsBetterOrEqualTo" | "resultIsWorseOrEqualTo", Value::Build) => {
                let now = self.result();
                let other = super::BuildResult::parse(&text(0)).unwrap_or_default();
                return Ok((if name.contains("Better") { now <= other } else { now >= other }).into());
            }
            ("getBuildCauses", Value::Build) => {
                let causes = self.property(value, "buildCauses", f.ctx, at)?.items().unwrap_or_default();
                let wanted = args.first().map(ToString::to_string);
                let is = |cause: &Value| {
                    let class = cause.entries().and_then(|e| e.get("_class").map(ToString::to_string)).unwrap_or_default();
                    wanted.as_ref().is_none_or(|w| *w == class)
                };
                return Ok(Value::list(causes.into_iter().filter(is).collect()));
            }
            // a getter reads the property of its name
            (getter, Value::Build) if args.is_empty() && getter.len() > 3 && getter.starts_with("get") => {
                return self.property(value, &uncapitalized(&getter[3..]), f.ctx, at);
            }
            _ => {}
        }
        if let Value::Module(module) = value {
            return self.module_call(module, name, args, f, at);
        }
        let found = match value {
            Value::Str(t) => self.text_method(t, name, &args, f.ctx, at)?,
            Value::Int(_) | Value::Decimal(_) => self.number_method(value, name, &args, f.ctx, at)?,
            Value::List(_) | Value::Map(_) => match self.collection(value, name, &args, f.ctx, at)? {
                Some(found) => Some(found),
                None => match value {
                    Value::List(list) => self.list_method(list, name, &args, f.ctx, at)?,
                    Value::Map(map) => self.map_method(map, name, &args, f.ctx, at)?,
                    _ => None,
                },
            },
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        // a closure in a map or a getter
        if let Value::Map(map) = value
            && let Some(Value::Closure(closure)) = lock(map).get(name).cloned()
        {
            return self.invoke(&closure, args, f.ctx, at);
        }
        if let Value::Map(map) = value
            && args.is_empty()
            && let Some(field) = name.strip_prefix("get").filter(|n| !n.is_empty())
            && let Some(found) = lock(map).get(&uncapitalized(field)).cloned()
        {
            return Ok(found);
        }
        let types = args.iter().map(Value::class).collect::<Vec<_>>().join(", ");
        let message = format!("No signature of method: {}.{name}() is applicable for argument types: ({types})", value.class());
        Err(exception("groovy.lang.MissingMethodException", message, at))
    }

    /// Calls a closure with an item; of a map with key and value where it takes two.
    fn with_item(&self, closure: &ClosureValue, of_map: bool, item: &Value, ctx: &Context, at: u32) -> Eval<Value> {
        let two = closure.code.params.as_ref().is_some_and(|p| p.len() == 2);
        if of_map && two {
            let (key, value) = (self.property(item, "key", ctx, at)?, self.property(item, "value", ctx, at)?);
            return self.invoke(closure, vec![key, value], ctx, at);
        }
        self.invoke(closure, vec![item.clone()], ctx, at)
    }

    /// What lists and maps have in common: methods that take a closure.
    fn collection(&self, value: &Value, name: &str, args: &[Value], ctx: &Context, at: u32) -> Eval<Option<Value>> {
        let of_map = matches!(value, Value::Map(_));
        match (name, args) {
            ("size" | "length", []) => return self.length(value).map(Some),
            ("isEmpty", []) => return Ok(Some((!value.truth()).into())),
            _ => {}
        }
        let Some(Value::Closure(closure)) = args.last() else {
            return Ok(match (name, args) {
                ("any", []) => Some(self.each(value, at)?.iter().any(Value::truth).into()),
                ("every", []) => Some(self.each(value, at)?.iter().all(Value::truth).into()),
                _ => None,
            });
        };
        let items = self.each(value, at)?;
        let ask = |item: &Value| self.with_item(closure, of_map, item, ctx, at);
        let truths = |items: &[Value]| items.iter().map(|i| ask(i).map(|v| v.truth())).collect::<Eval<Vec<bool>>>();
        Ok(Some(match name {
            "each" => {
                for item in &items {
                    ask(item)?;
                }
                value.clone()
            }
            "eachWithIndex" => {
                for (i, item) in items.iter().enumerate() {
                    self.invoke(closure, vec![item.clone(), i.into()], ctx, at)?;
                }
                value.clone()
            }
            "reverseEach" => {
                for item in items.iter().rev() {
                    ask(item)?;
                }
                value.clone()
            }
            "collect" | "collectMany" => {
                let mut out = Vec::with_capacity(items.len());
                for item in &items {
                    let made = ask(item)?;
                    self.grow(32, at)?;
                    if name == "collectMany" {
                        out.extend(self.each(&made, at)?);
                    } else {
                        out.push(made);
                    }
                }
                Value::list(out)
            }
            "collectEntries" => {
                let mut out = IndexMap::new();
                for item in &items {
                    match ask(item)? {
                        Value::Map(map) => out.extend(lock(&map).clone()),
                        made => {
                            let pair = made.items().unwrap_or_default();
                            if let [key, value] = pair.as_slice() {
                                out.insert(key.to_string(), value.clone());
                            }
                        }
                    }
                    self.grow(64, at)?;
                }
                Value::map(out)
            }
            "findAll" | "grep" => {
                let keep = truths(&items)?;
                let kept = items.into_iter().zip(keep).filter(|(_, k)| *k).map(|(i, _)| i);
                self.same_kind(of_map, kept.collect(), ctx, at)?
            }
            "find" => {
                for item in items {
                    if ask(&item)?.truth() {
                        return Ok(Some(item));
                    }
                }
                Value::Null
            }
            "findIndexOf" => {
                for (i, item) in items.iter().enumerate() {
                    if ask(item)?.truth() {
                        return Ok(Some(i.into()));
                    }
                }
                Value::Int(-1)
            }
            "any" => {
                for item in &items {
                    if ask(item)?.truth() {
                        return Ok(Some(true.into()));
                    }
                }
                false.into()
            }
            "every" => {
                for item in &items {
                    if !ask(item)?.truth() {
                        return Ok(Some(false.into()));
                    }
                }
                true.into()
            }
            "count" => truths(&items)?.into_iter().filter(|t| *t).count().into(),
            "sum" => {
                let mut sum: Option<Value> = None;
                for item in &items {
                    let made = ask(item)?;
                    sum = Some(match sum {
                        None => made,
                        Some(sum) => self.operate("+", &sum, &made, at)?,
                    });
                }
                sum.unwrap_or(Value::Null)
            }
            "inject" => {
                let mut so_far = args[..args.len() - 1].first().cloned().unwrap_or(Value::Null);
                for item in items {
                    so_far = self.invoke(closure, vec![so_far, item], ctx, at)?;
                }
                so_far
            }
            "groupBy" => {
                let mut groups: IndexMap<String, Vec<Value>> = IndexMap::new();
                for item in items {
                    groups.entry(ask(&item)?.to_string()).or_default().push(item);
                }
                Value::map(groups.into_iter().map(|(k, v)| (k, Value::list(v))).collect())
            }
            "sort" | "toSorted" | "max" | "min" | "unique" => {
                let two = closure.code.params.as_ref().is_some_and(|p| p.len() == 2);
                let mut keyed = Vec::with_capacity(items.len());
                for item in items {
                    let key = if two { Value::Null } else { ask(&item)? };
                    keyed.push((key, item));
                }
                if name == "unique" {
                    let mut out: Vec<(Value, Value)> = Vec::new();
                    for (key, item) in keyed {
                        if !out.iter().any(|(k, _)| k.same(&key)) {
                            out.push((key, item));
                        }
                    }
                    return Ok(Some(Value::list(out.into_iter().map(|(_, i)| i).collect())));
                }
                let mut failed = None;
                keyed.sort_by(|(a, x), (b, y)| {
                    if !two {
                        return a.order(b).unwrap_or(Ordering::Equal);
                    }
                    match self.invoke(closure, vec![x.clone(), y.clone()], ctx, at) {
                        Ok(Value::Int(n)) => n.cmp(&0),
                        Ok(_) => Ordering::Equal,
                        Err(e) => {
                            failed.get_or_insert(e);
                            Ordering::Equal
                        }
                    }
                });
                if let Some(e) = failed {
                    return Err(e);
                }
                let sorted: Vec<Value> = keyed.into_iter().map(|(_, i)| i).collect();
                match name {
                    "max" => sorted.last().cloned().unwrap_or(Value::Null),
                    "min" => sorted.first().cloned().unwrap_or(Value::Null),
                    _ => self.same_kind(of_map, sorted, ctx, at)?,
                }
            }
            "removeAll" | "retainAll" => {
                let hit = truths(&items)?;
                let wanted = name == "retainAll";
                let kept: Vec<Value> = items.into_iter().zip(hit).filter(|(_, h)| *h == wanted).map(|(i, _)| i).collect();
                if let Value::List(list) = value {
                    *lock(list) = kept;
                }
                true.into()
            }
            "takeWhile" | "dropWhile" => {
                let mut at_item = 0;
                while at_item < items.len() && ask(&items[at_item])?.truth() {
                    at_item += 1;
                }
                Value::list(if name == "takeWhile" { items[..at_item].to_vec() } else { items[at_item..].to_vec() })
            }
            _ => return Ok(None),
        }))
    }

    fn same_kind(&self, of_map: bool, items: Vec<Value>, ctx: &Context, at: u32) -> Eval<Value> {
        if !of_map {
            return Ok(Value::list(items));
        }
        let mut map = IndexMap::new();
        for item in &items {
            map.insert(self.property(item, "key", ctx, at)?.to_string(), self.property(item, "value", ctx, at)?);
        }
        Ok(Value::map(map))
    }

    fn list_method(
        &self,
        list: &Arc<std::sync::Mutex<Vec<Value>>>,
        name: &str,
        args: &[Value],
        ctx: &Context,
        at: u32,
    ) -> Eval<Option<Value>> {
        let first = args.first().cloned().unwrap_or(Value::Null);
        let items = lock(list).clone();
        let number = || if let Value::Int(n) = &first { usize::try_from(*n).unwrap_or(0) } else { 0 };
        let whole = || Value::List(Arc::clone(list));
        Ok(Some(match name {
            "join" => {
                let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
                let length = texts.iter().map(String::len).sum::<usize>();
                self.room(length, at)?;
                self.grow(length, at)?;
                texts.join(&if args.is_empty() { String::new() } else { first.to_string() }).into()
            }
            "add" | "push" | "leftShift" => {
                self.grow(32, at)?;
                if let [Value::Int(_), value] = args {
                    let mut list = lock(list);
                    let n = number().min(list.len());
                    list.insert(n, value.clone());
                } else {
                    lock(list).push(first);
                }
                true.into()
            }
            "addAll" => {
                let more = self.each(&first, at)?;
                self.grow(more.len() * 32, at)?;
                lock(list).extend(more);
                true.into()
            }
            "remove" | "removeAt" => match &first {
                Value::Int(_) => {
                    let mut list = lock(list);
                    if number() < list.len() { list.remove(number()) } else { Value::Null }
                }
                other => {
                    let place = items.iter().position(|v| v.same(other));
                    let mut list = lock(list);
                    if let Some(i) = place.filter(|i| *i < list.len()) {
                        list.remove(i);
                    }
                    place.is_some().into()
                }
            },
            "pop" | "removeLast" => lock(list).pop().unwrap_or(Value::Null),
            "clear" => {
                lock(list).clear();
                Value::Null
            }
            "contains" => items.iter().any(|v| v.same(&first)).into(),
            "containsAll" => self.each(&first, at)?.iter().all(|w| items.iter().any(|v| v.same(w))).into(),
            "indexOf" => Value::Int(items.iter().position(|v| v.same(&first)).map_or(-1, |i| i64::try_from(i).unwrap_or(-1))),
            "get" | "getAt" => self.index(&whole(), &first, ctx, at)?,
            "first" | "head" => items.first().cloned().unwrap_or(Value::Null),
            "last" => items.last().cloned().unwrap_or(Value::Null),
            "tail" => Value::list(items.into_iter().skip(1).collect()),
            "init" => Value::list(items[..items.len().saturating_sub(1)].to_vec()),
            "take" => Value::list(items.into_iter().take(number()).collect()),
            "drop" => Value::list(items.into_iter().skip(number()).collect()),
            "reverse" => Value::list(items.into_iter().rev().collect()),
            "sort" | "toSorted" => {
                let mut sorted = items;
                sorted.sort_by(|a, b| a.order(b).unwrap_or(Ordering::Equal));
                if name == "sort" {
                    lock(list).clone_from(&sorted);
                }
                Value::list(sorted)
            }
            "unique" | "toSet" | "toUnique" => self.coerce("Set", whole(), at)?,
            "max" | "min" => {
                let mut best: Option<Value> = None;
                for item in items {
                    let better =
                        best.as_ref().is_none_or(|b| item.order(b) == Some(if name == "max" { Ordering::Greater } else { Ordering::Less }));
                    if better {
                        best = Some(item);
                    }
                }
                best.unwrap_or(Value::Null)
            }
            "sum" => {
                let mut sum: Option<Value> = None;
                for item in items {
                    sum = Some(match sum {
                        None => item,
                        Some(sum) => self.operate("+", &sum, &item, at)?,
                    });
                }
                sum.unwrap_or(Value::Null)
            }
            "count" => items.iter().filter(|v| v.same(&first)).count().into(),
            "flatten" => {
                let mut out = Vec::new();
                let mut open: Vec<Value> = items.into_iter().rev().collect();
                while let Some(item) = open.pop() {
                    self.grow(32, at)?;
                    match item {
                        Value::List(inner) => open.extend(lock(&inner).iter().rev().cloned()),
                        other => out.push(other),
                    }
                }
                Value::list(out)
            }
            "collate" => {
                let size = number().max(1);
                Value::list(items.chunks(size).map(|c| Value::list(c.to_vec())).collect())
            }
            "transpose" => {
                let rows: Vec<Vec<Value>> = items.iter().map(|v| v.items().unwrap_or_default()).collect();
                let width = rows.iter().map(Vec::len).min().unwrap_or(0);
                Value::list((0..width).map(|i| Value::list(rows.iter().map(|r| r[i].clone()).collect())).collect())
            }
            "withIndex" => Value::list(items.into_iter().enumerate().map(|(i, v)| Value::list(vec![v, i.into()])).collect()),
            "toList" | "asList" | "toArray" | "clone" | "asImmutable" | "iterator" => Value::list(items),
            "plus" | "minus" => self.operate(if name == "plus" { "+" } else { "-" }, &whole(), &first, at)?,
            "intersect" => {
                let other = self.each(&first, at)?;
                Value::list(items.into_iter().filter(|v| other.iter().any(|o| o.same(v))).collect())
            }
            "subList" => {
                let to = if let Some(Value::Int(n)) = args.get(1) { usize::try_from(*n).unwrap_or(0) } else { items.len() };
                let outside = || exception("java.lang.IndexOutOfBoundsException", "bad range of a list", at);
                Value::list(items.get(number()..to).ok_or_else(outside)?.to_vec())
            }
            // of a matcher
            "matches" | "hasGroup" => (!items.is_empty()).into(),
            "isEmpty" => items.is_empty().into(),
            _ => return Ok(None),
        }))
    }

    fn map_method(
        &self,
        map: &Arc<std::sync::Mutex<IndexMap<String, Value>>>,
        name: &str,
        args: &[Value],
        _ctx: &Context,
        at: u32,
    ) -> Eval<Option<Value>> {
        let key = args.first().map(ToString::to_string).unwrap_or_default();
        Ok(Some(match name {
            "get" | "getAt" | "getOrDefault" => lock(map).get(&key).cloned().unwrap_or_else(|| args.get(1).cloned().unwrap_or(Value::Null)),
            "put" | "putAt" | "putIfAbsent" => {
                self.grow(key.len() + 64, at)?;
                let value = args.get(1).cloned().unwrap_or(Value::Null);
                let mut map = lock(map);
                if name == "putIfAbsent" && map.contains_key(&key) {
                    return Ok(Some(map.get(&key).cloned().unwrap_or(Value::Null)));
                }
                map.insert(key, value).unwrap_or(Value::Null)
            }
            "putAll" => {
                let more = args.first().and_then(Value::entries).unwrap_or_default();
                self.grow(more.len() * 64, at)?;
                lock(map).extend(more);
                Value::Null
            }
            "remove" => lock(map).shift_remove(&key).unwrap_or(Value::Null),
            "clear" => {
                lock(map).clear();
                Value::Null
            }
            "containsKey" => lock(map).contains_key(&key).into(),
            "containsValue" => {
                let wanted = args.first().cloned().unwrap_or(Value::Null);
                let values: Vec<Value> = lock(map).values().cloned().collect();
                values.iter().any(|v| v.same(&wanted)).into()
            }
            "keySet" | "keys" => Value::list(lock(map).keys().map(|k| Value::from(k.as_str())).collect()),
            "values" => Value::list(lock(map).values().cloned().collect()),
            "entrySet" => Value::list(lock(map).iter().map(|(k, v)| entry(k, v)).collect()),
            // of an entry
            "getKey" => lock(map).get("key").cloned().unwrap_or(Value::Null),
            "getValue" => lock(map).get("value").cloned().unwrap_or(Value::Null),
            "plus" => self.operate("+", &Value::Map(Arc::clone(map)), args.first().unwrap_or(&Value::Null), at)?,
            "subMap" => {
                let wanted: Vec<String> = args.first().and_then(Value::items).unwrap_or_default().iter().map(ToString::to_string).collect();
                Value::map(lock(map).iter().filter(|(k, _)| wanted.contains(k)).map(|(k, v)| (k.clone(), v.clone())).collect())
            }
            "sort" => {
                let mut sorted = lock(map).clone();
                sorted.sort_keys();
                Value::map(sorted)
            }
            "clone" | "asImmutable" => Value::map(lock(map).clone()),
            _ => return Ok(None),
        }))
    }
}
