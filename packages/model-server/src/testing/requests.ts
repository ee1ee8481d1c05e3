// Fixture paths and HTTP requests for the tests of this package.
import { fileURLToPath } from 'node:url'
import type { ModelServer } from '../model-server.ts'
import type { ModelSource } from '../model.ts'

/** Returns a model in `fixtures/`, which training/fixtures.py writes. */
export function fixture(name: string): ModelSource {
  return { name, file: fileURLToPath(new URL(`../../fixtures/${name}.onnx`, import.meta.url)) }
}

/** A response of the server under test. */
export interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Headers
  /** The body as JSON. */
  json(): any
}

/** Sends a GET request, without following redirects. */
export async function get(server: ModelServer, path: string): Promise<Answer> {
  return answerOf(await fetch(server.url + path, { redirect: 'manual' }))
}

/** Sends a POST request, with `Content-Type: application/json` by default. Objects become JSON. */
export async function post(
  server: ModelServer,
  path: string,
  body: unknown,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<Answer> {
  const raw = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return answerOf(await fetch(server.url + path, { method: 'POST', headers, body: raw, redirect: 'manual' }))
}

/** Returns one figure of `/metrics`. `name` includes the labels. */
export async function figure(server: ModelServer, name: string): Promise<number | undefined> {
  const { text } = await get(server, '/metrics')
  const line = text.split('\n').find((line) => line.startsWith(`${name} `))
  return line === undefined ? undefined : Number(line.slice(name.length + 1))
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  return { status: response.status, text, headers: response.headers, json: () => JSON.parse(text) as unknown }
}
