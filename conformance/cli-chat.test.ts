// Tests `inferwire chat` and streamed output, including in a terminal, with the toy language model of `inferwire dev`.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { inferwire, startInferwire, startInTerminal } from './fixtures/inferwire.ts'
import { startMosquitto } from './fixtures/mosquitto.ts'
import { TestClient } from './fixtures/mqtt-client.ts'
import { startPartResponder } from './fixtures/part-responder.ts'
import type { RunningCommand, TypedCommand } from './fixtures/processes.ts'

const MODEL = 'toy-chat'
// An answer of 2000 tokens is long enough to be cancelled: the toy model writes 30 tokens per second.
const LONG = ['--max-tokens', '2000']
// readline sets the cursor after the prompt with an escape sequence.
const PROMPT = String.raw`> \x1b\[3G$`
const STOPPED = /toy-chat: stopped after \d+ tokens/g

let dev: RunningCommand
let at: string[]
// Receives all requests and replies.
let observer: TestClient

beforeAll(async () => {
  const ports = ['--mqtt-port', '--ws-port', '--http-port', '--grpc-port', '--admin-port'].flatMap((name) => [
    name,
    '0',
  ])
  dev = startInferwire(['dev', ...ports])
  await dev.said(/Ctrl-C stops/)
  const [, port] = /mqtt:\/\/127\.0\.0\.1:(\d+)/.exec(dev.stdout())!
  at = ['-p', port!]
  observer = await TestClient.connect(`mqtt://127.0.0.1:${port}`)
  await observer.subscribe(`infer/+/cli/${MODEL}/#`)
})

afterAll(async () => {
  await observer?.close()
  dev?.signal('SIGINT')
  await dev?.ended
})

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string } }[]
}

/** Returns the text of the parts that the observer has received since `from`, and the number of parts. */
function streamedSince(from: number): { readonly text: string; readonly parts: number } {
  const parts = observer.received
    .slice(from)
    .filter(
      ({ topic, user }) =>
        topic.startsWith('infer/reply/') && user['seq'] !== undefined && user['final'] === undefined,
    )
    .map((message) => message.json() as Chunk)
  return { text: parts.map(({ choices }) => choices[0]?.delta.content ?? '').join(''), parts: parts.length }
}

/** Returns the messages of the last chat request. */
function lastMessages(): { readonly role: string; readonly content: string }[] {
  const request = observer.received.findLast(({ topic }) => topic.startsWith('infer/request/'))!
  return (request.json() as { messages: { role: string; content: string }[] }).messages
}

/** Types a message, and resolves when the first words of the answer have arrived. */
async function begin(chat: TypedCommand, message: string): Promise<void> {
  const from = observer.received.length
  chat.type(`${message}\r`)
  await expect.poll(() => streamedSince(from).parts, { timeout: 20_000 }).toBeGreaterThan(3)
}

const stops = (): number => dev.stderr().match(STOPPED)?.length ?? 0

describe('chat with one message', () => {
  test('prints the tokens as they arrive', async () => {
    const from = observer.received.length
    const command = startInferwire(['chat', MODEL, 'Who is the Cat?', '--max-tokens', '60', '-v', ...at])
    await command.said(/\w+ \w+/)
    expect(observer.received.at(-1)!.user['final']).toBeUndefined()
    const { code, stdout, stderr } = await command.ended
    expect(code).toBe(0)
    const { text, parts } = streamedSince(from)
    expect(parts).toBeGreaterThan(30)
    expect(stdout).toBe(text.endsWith('\n') ? text : `${text}\n`)
    expect(stderr).toMatch(/^(?:\[cut off.*\]\n)?\[[\d.]+ s, tokens: \d+ in, \d+ out\]\n$/)
  })

  test('reads the message from standard input, and with --no-stream prints the whole answer at once', async () => {
    const from = observer.received.length
    const argv = [
      'chat',
      MODEL,
      '--no-stream',
      '--system',
      'Be silly.',
      '--max-tokens',
      '5',
      '--temperature',
      '0',
      ...at,
    ]
    const { code, stdout } = await inferwire(argv, { input: 'Who is\nthe Cat?\n' })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\S.*\n$/s)
    expect(streamedSince(from).parts).toBe(0)
    expect(lastMessages()).toEqual([
      { role: 'system', content: 'Be silly.' },
      { role: 'user', content: 'Who is\nthe Cat?' },
    ])
  })

  test('Ctrl-C stops the generation at the model server', async () => {
    const before = stops()
    const command = startInferwire(['chat', MODEL, 'Who is the Cat?', ...LONG, ...at])
    await command.said(/\w+ \w+/)
    command.signal('SIGINT')
    const { code, stderr } = await command.ended
    expect({ code, stderr }).toEqual({ code: 130, stderr: '[cancelled]\n' })
    await expect.poll(stops).toBe(before + 1)
  })

  test.each([
    [['iris', 'Hello'], undefined, 1, /operation_not_supported[\s\S]*models describe/],
    [['unknown', 'Hello'], undefined, 1, /model_not_found/],
    [[MODEL], ' \n', 65, /standard input is empty/],
    [[MODEL, 'Hello', '-V', '3.1.1'], undefined, 64, /requires MQTT 5/],
    [[MODEL, 'Hello', '--max-tokens', '0'], undefined, 64, /above 0/],
    [[MODEL, 'Hello', '--temperature', '3'], undefined, 64, /from 0 to 2/],
    [['a/b', 'Hello'], undefined, 64, /cannot be the name/],
    [[MODEL, 'Hello', '-D', 'publish', 'content-type', 'text/plain'], undefined, 64, /always JSON/],
  ])('%j with input %j exits with %i', async (argv, input, code, message) => {
    const result = await inferwire(['chat', ...argv, ...at], input === undefined ? {} : { input })
    expect(result.stderr).toMatch(message)
    expect({ code: result.code, stdout: result.stdout }).toEqual({ code, stdout: '' })
  })
})

describe('chat in a terminal', () => {
  test('Ctrl-C cancels the answer at the model server and returns to the prompt; Ctrl-D ends the chat', async () => {
    const chat = startInTerminal(['chat', MODEL, ...LONG, ...at])
    await chat.said(new RegExp(PROMPT))
    const before = stops()
    await begin(chat, 'Who is the Cat?')
    chat.type('\u0003')
    await chat.said(new RegExp(`\\[cancelled\\]\r\n[^\n]*${PROMPT}`))
    await expect.poll(stops).toBe(before + 1)

    await begin(chat, 'And the Rabbit?')
    const messages = lastMessages()
    expect(messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user'])
    expect(messages[1]!.content).not.toBe('')
    expect(chat.stdout().replaceAll('\r', '')).toContain(messages[1]!.content)
    // A second Ctrl-C, at the prompt, would end the chat with 130.
    chat.type('\u0003')
    await chat.said(new RegExp(`\\[cancelled\\][^]*\\[cancelled\\]\r\n[^\n]*${PROMPT}`))
    chat.type('\u0004')
    expect((await chat.ended).code).toBe(0)
  })

  test('Ctrl-D during an answer cancels the answer and ends the chat', async () => {
    const chat = startInTerminal(['chat', MODEL, ...LONG, ...at])
    await chat.said(new RegExp(PROMPT))
    const before = stops()
    await begin(chat, 'Who is the Cat?')
    chat.type('\u0004')
    expect((await chat.ended).code).toBe(0)
    await expect.poll(stops).toBe(before + 1)
  })

  test('at the prompt, Ctrl-C clears the typed line, or ends the chat if the line is empty', async () => {
    const chat = startInTerminal(['chat', MODEL, '--max-tokens', '3', ...at])
    await chat.said(new RegExp(PROMPT))
    const requests = observer.received.length
    chat.type('never sent\u0003')
    await chat.said(new RegExp(`\\^C[^]*${PROMPT}`))
    chat.type('\r')
    chat.type('\u0003')
    expect((await chat.ended).code).toBe(130)
    expect(observer.received).toHaveLength(requests)
  })

  test('an error ends the answer, not the chat', async () => {
    const chat = startInTerminal(['chat', MODEL, ...LONG, '-t', '2', ...at])
    await chat.said(new RegExp(`Chat with ${MODEL}\\. Ctrl-C cancels an answer, Ctrl-D ends\\.[^]*${PROMPT}`))
    chat.type('Hello\r')
    await chat.said(new RegExp(`deadline_exceeded[^]*${PROMPT}`))
    chat.type('\u0004')
    expect((await chat.ended).code).toBe(0)
  })

  test('reports that the connection to the broker is lost, and Ctrl-C then cancels the message', async () => {
    const broker = await startMosquitto()
    const chat = startInTerminal(['chat', 'any', '-p', String(broker.port)])
    await chat.said(new RegExp(PROMPT))
    await broker.stop()
    chat.type('Hello\r')
    const lost = `\\[connection to mqtt://127\\.0\\.0\\.1:${broker.port} lost; reconnecting, Ctrl-C cancels\\]`
    await chat.said(new RegExp(lost))
    chat.type('\u0003')
    await chat.said(new RegExp(`\\[cancelled\\]\r\n[^\n]*${PROMPT}`))
    chat.type('\u0004')
    expect((await chat.ended).code).toBe(0)
  })

  test('a model without chat is refused before the prompt', async () => {
    const chat = startInTerminal(['chat', 'iris', ...at])
    const { code, stdout } = await chat.ended
    expect(stdout).toMatch(/^error: Model "iris" has no chat; chat models: toy-chat\r\n/)
    expect(code).toBe(1)
  })
})

describe('infer', () => {
  const body = JSON.stringify({
    messages: [{ role: 'user', content: 'Who is the Cat?' }],
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 5,
  })

  test('prints one line for each part of a streamed answer', async () => {
    const { code, stdout } = await inferwire(['infer', MODEL, '-d', body, ...at])
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    const text = lines.map((line) => (JSON.parse(line) as Chunk).choices[0]?.delta.content ?? '').join('')
    expect(lines.length).toBeGreaterThan(5)
    expect(text).not.toBe('')
    expect(stdout).not.toContain('[DONE]')
  })

  test('with -o json, numbers the parts and ends with the details of the answer', async () => {
    const { stdout } = await inferwire(['infer', MODEL, '-d', body, '-o', 'json', ...at])
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    const end = lines.pop()
    expect(lines.map(({ seq }) => seq)).toEqual(lines.map((_, index) => index))
    expect(end).toMatchObject({
      model: MODEL,
      operation: 'chat',
      status: 200,
      completion_tokens: 5,
      final: true,
    })
  })

  test('with --no-wait, leaves a streamed answer to be fetched later', async () => {
    const sent = await inferwire(['infer', MODEL, '-d', body, '--no-wait', ...at])
    const { code, stdout } = await inferwire(['result', sent.stdout.trim(), '-o', 'json', ...at])
    expect(code).toBe(0)
    const lines = stdout.trimEnd().split('\n')
    expect(lines.length).toBeGreaterThan(5)
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ status: 200, final: true })
  })

  test('the result command prints the parts that arrive in time, and the next one prints the rest', async () => {
    const broker = await startMosquitto()
    let finish: (() => Promise<unknown>) | undefined
    const responder = await startPartResponder(broker.url, async (request) => {
      for (const seq of [0, 1, 2]) await request.part(seq, `"${seq}"`)
      finish = async () => {
        await request.part(3, '"3"')
        await request.final(4)
      }
    })
    const own = ['-p', String(broker.port)]
    const { stdout } = await inferwire([
      'infer',
      MODEL,
      '-d',
      body,
      '--operation',
      'chat',
      '--no-wait',
      ...own,
    ])
    const id = stdout.trim()
    const first = await inferwire(['result', id, '-t', '3', ...own])
    expect(first.stderr).toContain(
      `The stream is not complete: 3 parts were printed; the rest remains available with: inferwire result ${id}`,
    )
    expect(first).toMatchObject({ code: 124, stdout: '"0"\n"1"\n"2"\n' })
    await finish!()
    expect(await inferwire(['result', id, ...own])).toMatchObject({ code: 0, stdout: '"3"\n' })
    await responder.stop()
    await broker.stop()
  })
})
