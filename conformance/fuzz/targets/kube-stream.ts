// Target: reads the input as a watch and as a list of the Kubernetes API. The result must not depend on how the bytes
// are split, and must be what JSON.parse finds.
import { isDeepStrictEqual } from 'node:util'
import { KubeError } from '../../../packages/connector/src/discovery/index.ts'
import {
  findIdentity,
  LineReader,
  ListReader,
  parseWatchEvent,
} from '../../../packages/connector/src/internal.ts'
import { claim, shapeOf, tokens, words, type FuzzTarget } from '../target.ts'

const BYTES_MAX = 200
const METADATA = '"metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7"}'
const LIST = `{"items":[{${METADATA}},{${METADATA},"spec":{"a":["}]",{"b":"\\"["}]}}],${METADATA.replace('{', '{"continue":"x",')}}`

/** Fuzzes the readers of lists and watches. */
export const target: FuzzTarget = {
  name: 'kube-stream',
  seedInputs: tokens(
    LIST,
    `{"type":"ADDED","object":{${METADATA}}}\n{"type":"DELETED","object":{${METADATA}}}\n`,
    `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}\n{"type":"MODIFIED","object":{${METADATA},}}\n`,
    '{"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old"}}\n',
    `{"type":"ADDED","object":{"spec":"${'x'.repeat(300)}",${METADATA}}}\n`,
    `{"items":[{"spec":"${'x'.repeat(300)}"}],"metadata":{"resourceVersion":"1"}}`,
    '{"items":null,"metadata":{"resourceVersion":"1"}}',
  ),
  dictionary: [
    ...words(
      '"items": "metadata": "object": "type": "name": "namespace": "uid": "resourceVersion": "continue": "labels":',
    ),
    ...words('{ } [ ] , : " \\ \\" \\u0022 [{ }] }} "a" null 1 true "ADDED" "DELETED" "ERROR" "__proto__":'),
    ...tokens('\n', '\r\n', ' ', [0xc3], [0xa9], [0xff], 'x'.repeat(BYTES_MAX)),
  ],
  run(input) {
    const lines = readLines(input, [input.length])
    const list = readList(input, [input.length])
    for (const sizes of [[1], [2, 7], [64]]) {
      claim(isDeepStrictEqual(readLines(input, sizes), lines), 'the lines depend on the chunks')
      claim(isDeepStrictEqual(readList(input, sizes), list), 'the list depends on the chunks')
    }
    checkList(input.toString('utf8'), list)
    const events = [...new Set(lines.map(({ kind, text }) => `${kind} ${describe(text)}`))].slice(0, 3)
    return shapeOf(`${events.join()} ${Math.min(3, list.items.length)} ${list.skipped} ${list.end}`)
  },
}

interface Line {
  readonly kind: 'line' | 'skipped'
  readonly text: string
}

function* split(input: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let from = 0, index = 0; from < input.length; index += 1) {
    const size = sizes[index % sizes.length]!
    yield input.subarray(from, from + size)
    from += size
  }
}

function readLines(input: Buffer, sizes: readonly number[]): Line[] {
  const lines: Line[] = []
  const take =
    (kind: Line['kind']) =>
    (bytes: Buffer): void => {
      claim(bytes.length <= BYTES_MAX + 1, 'a line is longer than the limit')
      lines.push({ kind, text: bytes.toString('utf8') })
    }
  const reader = new LineReader({ line: take('line'), skipped: take('skipped') }, BYTES_MAX)
  for (const chunk of split(input, sizes)) reader.feed(chunk)
  return lines
}

function describe(text: string): string {
  const identity = findIdentity(text, ['object', 'metadata'])
  checkIdentity(text, identity)
  try {
    return parseWatchEvent(text).type
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    return `${error.message} ${Object.keys(identity).length}`
  }
}

// A repeated or escaped key could mean another value in JSON.parse.
function checkIdentity(text: string, identity: object): void {
  const keys = ['object', 'metadata', 'name', 'namespace', 'uid', 'resourceVersion']
  if (text.includes('\\') || keys.some((key) => text.split(`"${key}"`).length > 2)) return
  const value = parsed(text) as { readonly object?: { readonly metadata?: Record<string, unknown> } } | null
  const metadata = value?.object?.metadata
  if (typeof metadata !== 'object' || metadata === null) return
  for (const key of keys.slice(2)) {
    const expected = typeof metadata[key] === 'string' ? metadata[key] : undefined
    claim((identity as Record<string, unknown>)[key] === expected, `the ${key} differs`)
  }
}

interface List {
  readonly items: readonly string[]
  readonly skipped: number
  readonly end: string
}

function readList(input: Buffer, sizes: readonly number[]): List {
  const items: string[] = []
  let skipped = 0
  const reader = new ListReader(
    {
      item: (bytes) => void items.push(bytes.toString('utf8')),
      skipped: (beginning) => {
        claim(beginning.length === BYTES_MAX + 1, 'the beginning of an object has the wrong length')
        skipped += 1
      },
    },
    BYTES_MAX,
  )
  try {
    for (const chunk of split(input, sizes)) reader.feed(chunk)
    const { resourceVersion, next } = reader.end()
    return { items, skipped, end: JSON.stringify([resourceVersion, next]) }
  } catch (error) {
    if (!(error instanceof KubeError)) throw error
    return { items, skipped, end: error.message }
  }
}

function checkList(text: string, { items, skipped, end }: List): void {
  // A list with an unreadable object is not JSON, but the other objects are reported.
  const list = parsed(text) as { readonly items?: unknown } | null | undefined
  // A repeated or escaped key could mean another value in JSON.parse.
  const isPlain = !text.includes('\\') && text.split('"items"').length === 2 && skipped === 0
  if (!isPlain || !end.startsWith('[') || !Array.isArray(list?.items)) return
  if (Object.values(list!).filter(Array.isArray).length > 1) return
  const objects = list.items.filter((item) => typeof item === 'object' && item !== null)
  claim(isDeepStrictEqual(items.map(parsed), objects), 'the objects of the list differ')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
