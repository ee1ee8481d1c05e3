// Target: sends the model server requests of OpenAI's API. The server must return a Failure or a complete answer.
import {
  Failure,
  Generations,
  openAiRoutes,
  toyModel,
  type Call,
  type Generation,
  type LanguageModel,
  type Reply,
  type Sampling,
} from '../../../packages/model-server/src/internal.ts'
import { bytesOf, claim, joined, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

const JSON_TYPE = 'application/json'
const CHAT = 'chat/completions'
// As many tokens as a chat without max_tokens may have.
const CONTEXT_TOKENS = 512
const FAILURE_BYTES_MAX = 10_000

const chat = (content: string, rest = ''): Buffer =>
  joined(CHAT, JSON_TYPE, `{"model":"m","messages":[{"role":"user","content":${content}}]${rest}}`)
const complete = (rest: string): Buffer =>
  joined('completions', JSON_TYPE, `{"model":"m","prompt":"abcab"${rest}}`)
const embed = (rest: string): Buffer => joined('embeddings', JSON_TYPE, `{"model":"m",${rest}}`)

/** Fuzzes the routes. Fields: the route, Content-Type, body. */
export const target: FuzzTarget = {
  name: 'openai',
  seedInputs: [
    chat('"abcab"'),
    chat('[{"type":"text","text":"a"},{"type":"text","text":"b"}]', ',"max_tokens":2,"seed":-1'),
    chat('"abcab"', ',"stream":true,"stream_options":{"include_usage":true},"stop":["ca","b"]'),
    chat('null', ',"temperature":0,"top_p":0.5,"n":1,"tools":[],"response_format":{"type":"text"}'),
    complete(',"stop":"ab"'),
    complete(',"stop":["ca","bc"],"stream":true,"max_tokens":4'),
    complete(',"echo":false,"logprobs":0,"suffix":"","best_of":1,"max_completion_tokens":1'),
    embed('"input":"a b é"'),
    embed('"input":["a","b"],"encoding_format":"base64"'),
  ],
  dictionary: [
    ...words(
      '"stop": "stream":true "stream_options":{"include_usage":true} "max_tokens": "seed": "temperature":',
    ),
    ...words(
      '"top_p": "n": "logprobs": "tools": "prompt": "input": "dimensions": "messages": "role": "content":',
    ),
    ...words(
      '"encoding_format":"base64" "model":"m" "__proto__": "type":"text" "type":"image_url" null true [] {}',
    ),
    ...words(
      'chat/completions completions embeddings application/json text/plain 512 513 9007199254740993 1e400 -0 0.5',
    ),
    ...tokens('\\ud800', '\\n', 'é', ' ', 'ab', 'ca', [0xff]),
  ],
  async run(input) {
    const [route = Buffer.alloc(0), contentType, body = Buffer.alloc(0)] = bytesOf(input, 3)
    const path = `/openai/v1/${route.toString('latin1')}`
    const found = ROUTES.find((each) => each.method === 'POST' && each.path.test(path))
    if (found === undefined) return 'no route'
    asked = undefined
    const call: Call = {
      params: {},
      header: (name) => (name === 'content-type' ? contentType?.toString('latin1') || undefined : undefined),
      body: () => Promise.resolve(body),
      signal: new AbortController().signal,
    }
    try {
      return await answerLabel(await found.handle(call), body)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return failureLabel(error)
    } finally {
      claim(generations.of('m').running === 0, 'a generation counts as running after its end')
    }
  },
}

interface Asked {
  /** What the model generates: one token for each UTF-16 code unit. */
  readonly text: string
  readonly sampling: Sampling
}

let asked: Asked | undefined

// Repeats its prompt. A stop sequence may therefore begin in any piece.
function generate(text: string, sampling: Sampling): Promise<Generation> {
  const { tokensMax = sampling.tokensDefault, temperature, topP, seed = 0 } = sampling
  claim(
    Number.isInteger(tokensMax) && tokensMax >= 1 && tokensMax <= CONTEXT_TOKENS,
    'the model receives an invalid maximum number of tokens',
  )
  claim(temperature >= 0 && temperature <= 2, 'the model receives an invalid temperature')
  claim(topP > 0 && topP <= 1, 'the model receives an invalid top_p')
  claim(Number.isSafeInteger(seed), 'the model receives an invalid seed')
  const written = text.slice(0, tokensMax)
  asked = { text: written, sampling }
  async function* pieces(): Generation['pieces'] & AsyncGenerator<{ text: string; tokens: number }> {
    for (let at = 0; at < written.length; at++) yield { text: written[at]!, tokens: 1 }
    yield { text: '', tokens: 0, finish: written.length < text.length ? 'length' : 'stop' }
  }
  return Promise.resolve({ promptTokens: 1, pieces: pieces() })
}

const toy = toyModel()
const model: LanguageModel = {
  name: 'm',
  description: '',
  contextTokens: CONTEXT_TOKENS,
  embeddingDimensions: toy.embeddingDimensions!,
  chat(messages, sampling) {
    claim(
      messages.length > 0 &&
        messages.every(({ role, content }) => role !== '' && typeof content === 'string'),
      'the model receives an invalid message',
    )
    return generate(messages.map(({ content }) => content).join(''), sampling)
  },
  complete: (prompt, sampling) => generate(prompt, sampling),
  embed: (text) => {
    const embedded = toy.embed!(text)
    claim(text !== '' && embedded.vector.every(Number.isFinite), 'a vector contains NaN or infinity')
    return embedded
  },
  release: () => Promise.resolve(),
}
const generations = new Generations(['m'], () => {})
const ROUTES = openAiRoutes(new Map([['m', model]]), generations, 0)

interface Choice {
  readonly message?: { readonly content: string }
  readonly delta?: { readonly content?: string }
  readonly text?: string
  readonly finish_reason: string | null
}
interface Body {
  readonly choices?: readonly Choice[]
  readonly data?: readonly { readonly embedding: string | number[] }[]
  readonly usage?: { readonly completion_tokens: number } | null
  readonly error?: unknown
}

async function answerLabel(reply: Reply, body: Buffer): Promise<string> {
  if (typeof reply === 'string') {
    const { choices, data, usage } = JSON.parse(reply) as Body
    if (choices === undefined) return `embeddings ${Math.min(data!.length, 2)} ${typeof data![0]!.embedding}`
    const [{ message, text, finish_reason }] = choices as [Choice]
    return `whole ${checkText(message?.content ?? text!, finish_reason, usage!.completion_tokens, stopOf(body))}`
  }
  claim('events' in reply, 'a language model answers with bytes')
  const chunks: Body[] = []
  let isDone = false
  for await (const event of reply.events) {
    claim(!isDone, 'an event follows the end of a stream')
    claim(/^data: [^\r\n]+\n\n$/.test(event), 'an event does not consist of one line')
    isDone = event === 'data: [DONE]\n\n'
    if (!isDone) chunks.push(JSON.parse(event.slice('data: '.length)) as Body)
  }
  claim(isDone, 'a stream ends without its end marker')
  claim(
    chunks.every(({ error }) => error === undefined),
    'a generation fails in the middle of a stream',
  )
  const choices = chunks.flatMap((chunk) => chunk.choices!)
  const text = choices.map((choice) => choice.delta?.content ?? choice.text ?? '').join('')
  const finishes = choices.flatMap(({ finish_reason }) => finish_reason ?? [])
  claim(finishes.length === 1, 'a stream does not have one reason for its end')
  const usage = chunks.at(-1)!.usage
  return `stream ${checkText(text, finishes[0]!, usage?.completion_tokens, stopOf(body))} ${usage !== undefined}`
}

// Compares the text with the prompt, which the model repeats. It ends before the first complete stop sequence.
function checkText(text: string, finish: string | null, tokensUsed: number | undefined, stop: Stop): string {
  const { text: written } = asked!
  const used = firstStop(written, stop)
  const expected = used === undefined ? written : written.slice(0, used.at)
  claim(text === expected, 'an answer does not end at the first stop sequence')
  claim(
    used === undefined || finish === 'stop',
    'an answer with a stop sequence has another reason for its end',
  )
  claim(
    tokensUsed === undefined || tokensUsed === (used?.tokens ?? written.length),
    'an answer has a wrong number of tokens',
  )
  return `${finish} ${used !== undefined}`
}

type Stop = readonly string[]

function stopOf(body: Buffer): Stop {
  const { stop } = JSON.parse(body.toString()) as { stop?: string | string[] | null }
  return [stop ?? []].flat()
}

function firstStop(text: string, stop: Stop): { readonly at: number; readonly tokens: number } | undefined {
  for (let tokens = 1; tokens <= text.length; tokens++) {
    const found = stop.filter((sequence) => text.slice(0, tokens).endsWith(sequence))
    if (found.length > 0) return { at: tokens - Math.max(...found.map(({ length }) => length)), tokens }
  }
  return undefined
}

function failureLabel({ status, message, body }: Failure): string {
  claim(status >= 400 && status <= 599 && status !== 500, `a request is answered with the status ${status}`)
  const text = JSON.stringify(body)
  claim(text.length < FAILURE_BYTES_MAX, "an error repeats the client's input")
  const { error } = JSON.parse(text) as { error: { code: number; type: string; message: string } }
  claim(error.code === status && error.type.endsWith('Error'), 'an error is not in the format of OpenAI')
  return `${status} ${shapeOf(message).split(' ').slice(0, 5).join(' ')}`
}
