// The content of the streamed answer to request n: each part contains the request's digest and its own number.
import { createHash } from 'node:crypto'
import { clientName } from './request-shape.ts'

const PARTS_MAX = 12
const GAP_MS_MAX = 4

/** Returns the number of parts of a complete stream; both streams of a pair are equally long. */
export function partsOf(pair: number): number {
  return 1 + (mixed(pair * 5 + 3) % PARTS_MAX)
}

/**
 * Returns how many parts the model server sends before it breaks the stream; undefined = it does not break it. The
 * server never breaks a stream after the last part, because that part's finish reason makes the answer complete.
 */
export function breakOf(pair: number): number | undefined {
  const parts = partsOf(pair)
  return pair % 32 === 9 && parts > 1 ? Math.ceil(parts / 2) : undefined
}

/** Returns the time between two parts, in milliseconds; 0 = both parts are in the same TCP segment. */
export function gapMs(pair: number, part: number): number {
  return mixed(pair * 11 + part) % GAP_MS_MAX
}

/** Returns the body of a part. */
export function partTo(client: string, pair: number, part: number): string {
  const content = `${digestOf(client, pair)} ${part}`
  const finish_reason = part === partsOf(pair) - 1 ? 'stop' : null
  return JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason }] })
}

/** How the answer to a client differs from the stream that the model server sent. */
export interface WrongStream {
  /** `crossed` = it contains a part of another request; `altered` = it lacks parts, or their order has changed. */
  readonly kind: 'crossed' | 'altered'
  readonly what: string
}

/** Checks a part that a client received with the number `seq`; undefined = correct. */
export function wrongPart(
  number: number,
  client: number,
  seq: number,
  body: string,
): WrongStream | undefined {
  const pair = number >>> 1
  const name = clientName(client)
  if (body === partTo(name, pair, seq)) return undefined
  const isOwn = body.includes(digestOf(name, pair))
  return {
    kind: isOwn ? 'altered' : 'crossed',
    what: `Part ${seq} of the stream to request ${number} of ${name} is ${isOwn ? 'another part' : 'a part of another answer'}: ${body.slice(0, 200)}`,
  }
}

/** Checks that a stream which ended without an error after `count` parts is complete; undefined = correct. */
export function wrongEnd(number: number, client: number, count: number): WrongStream | undefined {
  const pair = number >>> 1
  const broken = breakOf(pair)
  if (broken === undefined && count === partsOf(pair)) return undefined
  const sent =
    broken === undefined ? `${partsOf(pair)} parts` : `only ${broken} parts before it broke the stream`
  return {
    kind: 'altered',
    what: `The stream to request ${number} of ${clientName(client)} ended without an error after ${count} parts; the model server sent ${sent}.`,
  }
}

/** What an application reads from the SDK's stream. The SDK must report every gap with an error. */
export class SdkReading {
  readonly #number: number
  readonly #client: number
  #count = 0
  #isWrong = false

  constructor(number: number, client: number) {
    this.#number = number
    this.#client = client
  }

  /** Reads the next part; undefined = correct. Reports only the first difference. */
  part(
    seq: number,
    body: string,
  ): { readonly kind: 'gap' | WrongStream['kind']; readonly what: string } | undefined {
    if (this.#isWrong) return undefined
    const expected = this.#count++
    const wrong =
      seq === expected
        ? wrongPart(this.#number, this.#client, seq, body)
        : this.#gap(`part ${seq} arrived instead of part ${expected}`)
    this.#isWrong = wrong !== undefined
    return wrong
  }

  /** Ends without an error; undefined = correct. */
  end(): { readonly kind: 'gap'; readonly what: string } | undefined {
    const wrong = this.#isWrong ? undefined : wrongEnd(this.#number, this.#client, this.#count)
    return wrong === undefined ? undefined : this.#gap(wrong.what)
  }

  #gap(what: string): { readonly kind: 'gap'; readonly what: string } {
    return {
      kind: 'gap',
      what: `The SDK reported no error in the stream to request ${this.#number}: ${what}`,
    }
  }
}

function digestOf(client: string, pair: number): string {
  return createHash('sha1').update(`${client} ${pair}`).digest('hex')
}

function mixed(value: number): number {
  return Math.imul(value, 0x9e3779b1) >>> 12
}
