// Read every published document as other projects' tools do, and print what they say of each.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { Parser } from "@asyncapi/parser";
import { validate } from "@readme/openapi-parser";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const folder = process.argv[2];
const names = readdirSync(folder, { recursive: true }).filter((name) => name.endsWith(".json"));
const read = (name) => JSON.parse(readFileSync(join(folder, name)));
const documents = ["asyncapi.json", "openapi.json"];
const said = {};

for (const name of names.filter((one) => !documents.includes(one)).sort()) {
  const ajv = new Ajv.default({ strict: true, allErrors: true });
  addFormats.default(ajv);
  try {
    ajv.compile(read(name));
    said[name] = [];
  } catch (error) {
    said[name] = [error.message];
  }
}
const { diagnostics } = await new Parser().parse(readFileSync(join(folder, "asyncapi.json"), "utf8"));
// Errors and warnings; it also gives hints, such as a newer version of AsyncAPI.
const faults = diagnostics.filter((one) => one.severity < 2);
said["asyncapi.json"] = faults.map((one) => `${one.code} ${one.path.join(".")}: ${one.message}`);
const result = await validate(read("openapi.json"));
said["openapi.json"] = [...(result.errors ?? []), ...(result.warnings ?? [])].map((one) => one.message);
console.log(JSON.stringify(said));
