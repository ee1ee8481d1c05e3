// Merges requests with tensors along axis 0, and divides the output tensors of the answer.
import type { CarriedBody } from '../body/carried-body.ts'
import {
  afterSpace,
  cutList,
  isScalar,
  membersOfText,
  onlyMember,
  readList,
  readMembers,
  textOf,
  type Member,
  type Span,
} from '../body/json-spans.ts'
import type { TensorMetadata } from '../card.ts'
import { KEY_LENGTH_MAX, type BatchMember, type BatchRules, type Permit } from './batch-rules.ts'
import { Chunks } from '../body/chunks.ts'
import {
  cutBinary,
  hasManyElements,
  isBinary,
  otherParameters,
  readTensor,
  SIZE_PARAMETER,
  stringOf,
  valuesPerRow,
  type BinaryData,
  type TensorSpans,
} from './tensor-spans.ts'

/** A request whose inputs have equal numbers of rows. */
interface TensorsMember extends BatchMember {
  readonly json: Uint8Array
  readonly members: readonly Member[]
  readonly inputs: readonly TensorSpans[]
  /** The bytes of each binary input. */
  readonly binary: readonly Uint8Array[]
  /** Whether the length of the JSON is sent with the body, even if no tensor is binary. */
  readonly hasJsonLength: boolean
  /** The request's `id`, exactly as written; undefined if the request has none. */
  readonly id: Uint8Array | undefined
}

const rules: BatchRules<TensorsMember> = {
  operation: 'infer',
  permits,
  read,
  merge(members) {
    const first = members[0]!
    const json = new Chunks()
    writeObject(json, first.json, first.members, {
      inputs: () => {
        first.inputs.forEach((_, index) => {
          json.addText(index === 0 ? '[' : ',')
          mergeInput(json, members, index)
        })
        json.addText(']')
      },
    })
    return withBinary(
      json,
      first.binary.flatMap((_, index) => members.map(({ binary }) => binary[index]!)),
      first.hasJsonLength,
    )
  },
  split(members, answer) {
    const parts = carried(answer)
    const top = parts === undefined ? undefined : membersOfText(parts.json)
    const list = top === undefined ? undefined : onlyMember(top, 'outputs')
    if (parts === undefined || top === undefined || list === undefined) return undefined
    const isDivisible = top.every((member) => member === list || isCommon(parts.json, member))
    const outputs = isDivisible ? readTensors(parts.json, list.start) : undefined
    const counts = members.map(({ rows }) => rows)
    const divided = outputs === undefined ? undefined : divide(parts, outputs, counts)
    if (divided === undefined) return undefined
    return members.map((member, index) => {
      const json = new Chunks()
      writeAnswer(json, parts.json, top, divided, member, index)
      const binary = divided.flatMap((output) => output.binary?.[index] ?? [])
      return withBinary(json, binary, answer.jsonLength !== undefined)
    })
  },
}

/** Rules for the Open Inference Protocol: JSON, and JSON followed by binary tensors. */
export const tensorsRules: BatchRules = rules

// A model whose first dimension is fixed has no batch axis. An empty list means that the server reports no tensors.
function permits(
  inputs: readonly TensorMetadata[] | undefined,
  outputs: readonly TensorMetadata[] | undefined,
): Permit {
  if (inputs === undefined || inputs.length === 0) return 'unknown'
  return [...inputs, ...(outputs ?? [])].every(({ shape }) => shape[0] === -1) ? 'yes' : 'no'
}

function read(request: CarriedBody): TensorsMember | undefined {
  const parts = carried(request)
  const members = parts === undefined ? undefined : membersOfText(parts.json)
  const list = members === undefined ? undefined : onlyMember(members, 'inputs')
  if (parts === undefined || members === undefined || list === undefined) return undefined
  const { json } = parts
  if (isOfSequence(json, members)) return undefined
  const inputs = readTensors(json, list.start)
  const rows = inputs?.[0]?.rows
  if (inputs === undefined || rows === undefined || inputs.some((input) => input.rows !== rows))
    return undefined
  const ids = members.filter(({ key }) => key === 'id')
  if (ids.length > 1 || (ids[0] !== undefined && stringOf(json, ids[0]) === undefined)) return undefined
  if (inputs.some(hasManyElements)) return undefined
  const binary = binaryOf(parts, inputs, [rows])?.map((groups) => groups[0]!)
  const key = keyOf(json, members, inputs)
  if (binary === undefined || key === undefined || key.length > KEY_LENGTH_MAX) return undefined
  const id = ids[0] === undefined ? undefined : json.subarray(ids[0].start, ids[0].end)
  const hasJsonLength = request.jsonLength !== undefined
  return { key, rows, json, members, inputs, binary, hasJsonLength, id }
}

// The server keeps state for each sequence, so the requests of a sequence depend on each other. If a key cannot be read
// because it contains an escape, the request counts as part of a sequence.
function isOfSequence(json: Uint8Array, members: readonly Member[]): boolean {
  return members.some((member) => {
    if (member.key !== 'parameters' || isScalar(json, member)) return false
    const inner = readMembers(json, member.start)?.members
    return inner === undefined || inner.some(({ key }) => key === 'sequence_id')
  })
}

interface Carried {
  readonly json: Uint8Array
  readonly rest: Uint8Array
}

// A body without JSON (Triton's raw binary request) cannot be merged, because it does not contain the tensor's shape.
function carried({ body, jsonLength = body.length }: CarriedBody): Carried | undefined {
  if (jsonLength === 0 || jsonLength > body.length) return undefined
  return { json: body.subarray(0, jsonLength), rest: body.subarray(jsonLength) }
}

function readTensors(json: Uint8Array, start: number): TensorSpans[] | undefined {
  const list = readList(json, start)
  if (list === undefined || list.count === 0) return undefined
  const tensors: TensorSpans[] = []
  let at = list.start
  while (tensors.length < list.count) {
    const tensor = readTensor(json, afterSpace(json, at + 1))
    if (tensor === undefined) return undefined
    tensors.push(tensor)
    // The position of the comma, or of the closing bracket.
    at = afterSpace(json, tensor.end)
  }
  return tensors
}

// The bytes of every binary tensor, divided into groups of rows; undefined unless they fill the rest of the body.
function binaryOf(
  { rest }: Carried,
  tensors: readonly TensorSpans[],
  counts: readonly number[],
): Uint8Array[][] | undefined {
  const all: Uint8Array[][] = []
  let at = 0
  for (const tensor of tensors) {
    if (!isBinary(tensor.data)) continue
    const { size } = tensor.data
    const bytes = rest.subarray(at, at + size)
    const groups =
      bytes.length === size ? cutBinary(tensor.data, valuesPerRow(tensor), bytes, counts) : undefined
    if (groups === undefined) return undefined
    all.push(groups)
    at += size
  }
  return at === rest.length ? all : undefined
}

// Requests with an id and requests without one are not merged, because some servers answer them differently.
function keyOf(
  json: Uint8Array,
  members: readonly Member[],
  inputs: readonly TensorSpans[],
): string | undefined {
  const others: string[] = []
  for (const member of members) {
    if (member.key === 'inputs') continue
    if (member.end - member.start > KEY_LENGTH_MAX) return undefined
    others.push(member.key === 'id' ? 'id' : `"${member.key}":${textOf(json, member)}`)
  }
  const tensors: string[] = []
  for (const tensor of inputs) {
    const { name, datatype, rowShape, data } = tensor
    const form = isBinary(data) ? `binary{${otherParameters(json, data)}}` : `depth ${data.depth}`
    tensors.push(`"${name}" ${datatype} [${rowShape.join()}] ${form}`)
    for (const member of tensor.members) {
      if (REPLACED.has(member.key) || (member.key === 'parameters' && isBinary(data))) continue
      if (member.end - member.start > KEY_LENGTH_MAX) return undefined
      tensors.push(`"${member.key}":${textOf(json, member)}`)
    }
  }
  return `${others.sort().join()} ${tensors.join()}`
}

const REPLACED: ReadonlySet<string> = new Set(['name', 'datatype', 'shape', 'data'])

function mergeInput(json: Chunks, members: readonly TensorsMember[], index: number): void {
  const first = members[0]!
  const input = first.inputs[index]!
  const rows = members.reduce((sum, member) => sum + member.rows, 0)
  const lists = members.map(({ json: bytes, inputs }) => {
    const { data } = inputs[index]!
    return isBinary(data) ? undefined : bytes.subarray(data.start + 1, data.end - 1)
  })
  const size = members.reduce((sum, { inputs }) => sum + sizeOf(inputs[index]!.data), 0)
  writeTensor(json, first.json, input, rows, size, lists)
}

function sizeOf(data: TensorSpans['data']): number {
  return isBinary(data) ? data.size : 0
}

// Each request receives its own `shape` and `data`, so these members need not be scalars.
function isWritten(json: Uint8Array, member: Member): boolean {
  return member.key === 'shape' || member.key === 'data' || isCommon(json, member)
}

// A list or a nested object may contain values of single rows, which other clients must not receive.
function isCommon(json: Uint8Array, member: Member): boolean {
  if (isScalar(json, member)) return true
  if (member.key !== 'parameters') return false
  return readMembers(json, member.start)?.members.every((inner) => isScalar(json, inner)) ?? false
}

/** One output, divided: the JSON of each member, or its bytes. */
interface Divided {
  readonly tensor: TensorSpans
  readonly json: readonly Span[] | undefined
  readonly binary: readonly Uint8Array[] | undefined
}

function divide(
  parts: Carried,
  outputs: readonly TensorSpans[],
  counts: readonly number[],
): Divided[] | undefined {
  const rows = counts.reduce((sum, count) => sum + count, 0)
  const areDivisible = outputs.every((output) => {
    return output.rows === rows && output.members.every((member) => isWritten(parts.json, member))
  })
  if (!areDivisible) return undefined
  const binary = binaryOf(parts, outputs, counts)
  if (binary === undefined) return undefined
  const divided: Divided[] = []
  let next = 0
  for (const tensor of outputs) {
    const { data } = tensor
    if (isBinary(data)) {
      divided.push({ tensor, json: undefined, binary: binary[next++] })
      continue
    }
    // The items of a flat list are values; the items of a nested list are rows.
    const itemsPerRow = data.depth === 1 ? valuesPerRow(tensor) : 1
    const json = cutList(
      parts.json,
      data,
      counts.map((count) => count * itemsPerRow),
    )
    if (json === undefined) return undefined
    divided.push({ tensor, json, binary: undefined })
  }
  return divided
}

function writeAnswer(
  json: Chunks,
  text: Uint8Array,
  top: readonly Member[],
  outputs: readonly Divided[],
  member: TensorsMember,
  index: number,
): void {
  const id = top.find(({ key }) => key === 'id')
  const isOwnId = id === undefined || textOf(text, id) === 'null'
  // An id that the server has generated identifies the merged call, so it is not returned to a request without an id.
  const written = isOwnId || member.id !== undefined ? top : top.filter((entry) => entry !== id)
  writeObject(json, text, written, {
    ...(isOwnId ? {} : { id: () => json.add(member.id!) }),
    outputs: () => {
      outputs.forEach(({ tensor, json: spans, binary }, output) => {
        json.addText(output === 0 ? '[' : ',')
        const span = spans?.[index]
        const list = span === undefined ? undefined : text.subarray(span.start, span.end)
        writeTensor(json, text, tensor, member.rows, binary?.[index]!.length ?? 0, [list])
      })
      json.addText(']')
    },
  })
}

// Writes a tensor with a new number of rows. `lists` contains the items of `data`, or undefined for binary data.
function writeTensor(
  json: Chunks,
  text: Uint8Array,
  { members, rowShape, data }: TensorSpans,
  rows: number,
  size: number,
  lists: readonly (Uint8Array | undefined)[],
): void {
  writeObject(json, text, members, {
    shape: () => json.addText(`[${[rows, ...rowShape].join()}]`),
    data: () => {
      lists.forEach((list, index) => {
        json.addText(index === 0 ? '[' : ',')
        if (list !== undefined) json.add(list)
      })
      json.addText(']')
    },
    ...(isBinary(data) ? { parameters: () => writeParameters(json, text, data, size) } : {}),
  })
}

function writeParameters(json: Chunks, text: Uint8Array, { parameters }: BinaryData, size: number): void {
  writeObject(json, text, parameters, { [SIZE_PARAMETER]: () => json.addText(String(size)) })
}

// Writes an object with the values of some members replaced.
function writeObject(
  json: Chunks,
  text: Uint8Array,
  members: readonly Member[],
  replaced: Readonly<Record<string, () => void>>,
): void {
  json.addText('{')
  members.forEach((member, index) => {
    json.addText(`${index === 0 ? '' : ','}"`)
    json.add(keyBytes(member.key))
    json.addText('":')
    if (Object.hasOwn(replaced, member.key)) replaced[member.key]!()
    else json.addSpan(text, member)
  })
  json.addText('}')
}

// A key has one character per byte.
function keyBytes(key: string): Uint8Array {
  return Uint8Array.from(key, (character) => character.charCodeAt(0))
}

function withBinary(json: Chunks, binary: readonly Uint8Array[], hasJsonLength: boolean): CarriedBody {
  if (!hasJsonLength) return { body: json.join(), jsonLength: undefined }
  const jsonLength = json.length
  for (const bytes of binary) json.add(bytes)
  return { body: json.join(), jsonLength }
}
