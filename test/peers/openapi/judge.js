// Reads {description, answers, bodies} and tells what is wrong with the description, which answers
// and bodies do not fit it, and which of the calls and statuses it names have been seen.
import { Validator } from "@seriousme/openapi-schema-validator";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const BASE = "description";
const METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

// A client must bear members that it does not know; here one that is not described is a fault.
function closed(value) {
  if (Array.isArray(value)) return value.map(closed);
  if (value === null || typeof value !== "object") return value;
  const copy = Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, closed(inner)]));
  if (copy.type === "object" && copy.properties) copy.additionalProperties ??= false;
  return copy;
}

class Judge {
  constructor(description) {
    this.description = description;
    this.ajv = new Ajv({ strictSchema: false, allErrors: true, validateFormats: true });
    addFormats(this.ajv);
    this.ajv.addSchema(closed(description), BASE);
    this.compiled = new Map();
    this.paths = Object.keys(description.paths).map((path) => ({
      path,
      pattern: new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`),
    }));
    this.seen = new Set();
  }

  // [the object, its pointer], whatever references lie between.
  at(pointer) {
    const steps = pointer.split("/").slice(1).map((step) => step.replace(/~1/g, "/").replace(/~0/g, "~"));
    const found = steps.reduce((value, step) => value?.[step], this.description);
    return found?.$ref && !pointer.endsWith("/schema") ? this.at(found.$ref.slice(1)) : [found, pointer];
  }

  // "" when the value fits the schema at the pointer.
  unfit(pointer, value) {
    if (!this.compiled.has(pointer))
      this.compiled.set(pointer, this.ajv.compile({ $ref: `${BASE}#${encodeURI(pointer)}` }));
    const validate = this.compiled.get(pointer);
    return validate(value) ? "" : this.ajv.errorsText(validate.errors);
  }

  // Pointers of the operations that an answer may belong to: all of the path's for a wrong method.
  operations(method, path) {
    const found = this.paths.find((one) => one.path === path) ?? this.paths.find((one) => one.pattern.test(path));
    if (!found) return [];
    const all = METHODS.filter((name) => this.description.paths[found.path][name]);
    const own = all.filter((name) => name === method.toLowerCase());
    return (own.length ? own : all).map((name) => ({
      name: `${name.toUpperCase()} ${found.path}`,
      pointer: `/paths/${found.path.replaceAll("/", "~1")}/${name}`,
    }));
  }

  answer(answer) {
    if (answer.method === "HEAD") return [];
    const operations = this.operations(answer.method, answer.path);
    if (!operations.length)
      return answer.status < 400 ? ["the path is not described"] : this.content("/components/responses/Other", answer);
    return operations.flatMap(({ name, pointer }) => {
      const [responses] = this.at(`${pointer}/responses`);
      const status = responses[answer.status] ? String(answer.status) : "default";
      if (!responses[status] || (status === "default" && answer.status < 400)) return [`${name}: the status is not described`];
      this.seen.add(`${name} ${status}`);
      const [, response] = this.at(`${pointer}/responses/${status}`);
      return [...this.headers(response, answer), ...this.content(response, answer), ...this.asked(pointer, answer)];
    });
  }

  headers(response, answer) {
    const named = Object.keys(this.at(response)[0].headers ?? {});
    return named.flatMap((name) => {
      const [header, pointer] = this.at(`${response}/headers/${name}`);
      const text = answer.headers[name.toLowerCase()];
      if (text === undefined) return header.required ? [`no ${name}`] : [];
      const value = header.schema.type === "integer" ? Number(text) : text;
      const fault = this.unfit(`${pointer}/schema`, value);
      return fault ? [`${name}: ${fault}`] : [];
    });
  }

  content(response, answer) {
    const content = this.at(response)[0].content;
    if (!content) return answer.size ? ["a body is not described"] : [];
    const type = (answer.headers["content-type"] ?? "").split(";")[0];
    if (content["*/*"]) return [];
    if (!content[type]) return [`Content-Type "${type}" is not described`];
    const media = `${response}/content/${type.replaceAll("/", "~1")}`;
    if (!/[/+]json$/.test(type))
      return parts(type, answer.body).flatMap((item) => this.fault(`${media}/x-itemSchema`, item));
    const body = JSON.parse(answer.body);
    const lies = type === "application/problem+json" && body.status !== answer.status;
    return [...this.fault(`${media}/schema`, body), ...(lies ? [`its status is ${body.status}`] : [])];
  }

  fault(pointer, value) {
    const fault = this.unfit(pointer, value);
    return fault ? [`${fault} in ${JSON.stringify(value).slice(0, 500)}`] : [];
  }

  // Nothing is accepted that the description forbids. (Of a batch each item is judged for itself.)
  asked(operation, answer) {
    const described = this.at(`${operation}/requestBody`)[1];
    if (!this.at(described)[0] || answer.status >= 300 || operation.endsWith("~1batch/post")) return [];
    const fault = this.unfit(`${described}/content/application~1json/schema`, JSON.parse(answer.asked));
    return fault ? [`accepted, but ${fault}: ${answer.asked.slice(0, 500)}`] : [];
  }

  documented() {
    return this.paths.flatMap(({ path }) =>
      METHODS.filter((name) => this.description.paths[path][name]).flatMap((name) =>
        Object.keys(this.description.paths[path][name].responses).map((status) => `${name.toUpperCase()} ${path} ${status}`),
      ),
    );
  }
}

// What a text is made of: lines that are JSON, server-sent events, or nothing that can be judged.
function parts(type, text) {
  if (type === "application/x-ndjson") return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (type !== "text/event-stream") return [];
  return text
    .split("\n\n")
    .map((block) => Object.fromEntries(block.split("\n").filter((line) => /^\w/.test(line)).map(field)))
    .filter((event) => event.data !== undefined);
}

function field(line) {
  const [, name, value] = /^(\w+): ?(.*)$/.exec(line);
  return [name, name === "event" ? value : JSON.parse(value)];
}

let text = "";
for await (const piece of process.stdin) text += piece;
const { description, answers, bodies } = JSON.parse(text);
const faults = [];
const valid = await new Validator().validate(structuredClone(description));
if (!valid.valid) faults.push(`the description is no OpenAPI: ${JSON.stringify(valid.errors)}`);
const judge = new Judge(description);
for (const [i, answer] of answers.entries())
  for (const fault of judge.answer(answer)) faults.push(`answer ${i}: ${answer.method} ${answer.path} ${answer.status}: ${fault}`);
for (const { schema, value, fits } of bodies) {
  const fault = judge.unfit(`/components/schemas/${schema}`, value);
  if (!fault !== fits) faults.push(`${schema} ${fits ? fault : "should not fit"}: ${JSON.stringify(value).slice(0, 500)}`);
}
const told = { faults, unseen: judge.documented().filter((one) => !judge.seen.has(one)) };
process.stdout.write(JSON.stringify(told));
