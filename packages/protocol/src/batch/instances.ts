// Merges requests that list `instances`, and divides the `predictions` of the answer.
import {
  cutList,
  isScalar,
  membersOfText,
  onlyMember,
  readList,
  readMembers,
  textOf,
  type List,
  type Member,
  type Span,
} from '../body/json-spans.ts'
import { KEY_LENGTH_MAX, type BatchMember, type BatchRules } from './batch-rules.ts'
import { Chunks } from '../body/chunks.ts'

/** A request with a list of instances. */
interface InstancesMember extends BatchMember {
  readonly body: Uint8Array
  /** The list including its brackets. */
  readonly instances: Span
}

const rules: BatchRules<InstancesMember> = {
  operation: 'predict',
  // The protocol defines `instances` as a list of independent inputs.
  permits: () => 'yes',
  read({ body, jsonLength }) {
    const members = jsonLength === undefined ? membersOfText(body) : undefined
    if (members === undefined) return undefined
    const found = onlyMember(members, 'instances')
    const instances = found === undefined ? undefined : readList(body, found.start)
    // KServe prefers `inputs` if a request has both.
    const hasInputs = members.some(({ key }) => key === 'inputs')
    if (instances === undefined || instances.count === 0 || hasInputs) return undefined
    const key = keyOf(body, members, instances)
    return key.length > KEY_LENGTH_MAX ? undefined : { key, rows: instances.count, body, instances }
  },
  merge(members) {
    const { body, instances } = members[0]!
    const merged = new Chunks()
    merged.addSpan(body, { start: 0, end: instances.start })
    members.forEach((member, index) => {
      merged.addText(index === 0 ? '[' : ',')
      merged.addSpan(member.body, inside(member.instances))
    })
    merged.addSpan(body, { start: instances.end - 1, end: body.length })
    return { body: merged.join(), jsonLength: undefined }
  },
  split(members, { body, jsonLength }) {
    const predictions = jsonLength === undefined ? predictionsOf(body) : undefined
    if (predictions === undefined) return undefined
    const groups = cutList(
      body,
      predictions,
      members.map(({ rows }) => rows),
    )
    return groups?.map((group) => {
      const part = new Chunks()
      part.addSpan(body, { start: 0, end: predictions.start + 1 })
      part.addSpan(body, group)
      part.addSpan(body, { start: predictions.end - 1, end: body.length })
      return { body: part.join(), jsonLength: undefined }
    })
  },
}

/** Rules for bodies of the form `{"instances": [...]}` with answers of the form `{"predictions": [...]}`. */
export const instancesRules: BatchRules = rules

// Any list or object besides the predictions may contain values of single instances, which other clients must not
// receive.
function predictionsOf(body: Uint8Array): List | undefined {
  const members = membersOfText(body)
  const found = members === undefined ? undefined : onlyMember(members, 'predictions')
  if (members === undefined || found === undefined) return undefined
  const isDivisible = members.every((member) => member === found || isScalar(body, member))
  return isDivisible ? readList(body, found.start) : undefined
}

// The key consists of the form of the first instance and of all members except `instances`, sorted. If instances
// of different forms were merged, the call would fail.
function keyOf(body: Uint8Array, members: readonly Member[], instances: List): string {
  const form = formOf(body, instances)
  if (members.length === 1) return form
  const others = members.filter(({ key }) => key !== 'instances')
  // The start of a long value suffices, because that part alone already exceeds KEY_LENGTH_MAX.
  const texts = others.map(({ key, start, end }) => {
    return `"${key}":${textOf(body, { start, end: Math.min(end, start + KEY_LENGTH_MAX + 1) })}`
  })
  return `${form} ${texts.sort().join()}`
}

// The number of levels is limited, because each level is scanned separately.
const FORM_LEVELS_MAX = 8

function formOf(body: Uint8Array, list: List): string {
  let form = ''
  let at = list.start + 1
  for (let level = 0; level < FORM_LEVELS_MAX; level += 1) {
    while (body[at]! <= 0x20) at += 1
    const inner = readList(body, at)
    if (inner === undefined) break
    form += `[${inner.count}`
    if (inner.count === 0) return form
    at = inner.start + 1
  }
  const object = readMembers(body, at)
  if (object !== undefined)
    return `${form}{${object.members
      .map(({ key }) => key)
      .sort()
      .join()}`
  return body[at] === 0x22 ? `${form}"` : form
}

function inside({ start, end }: Span): Span {
  return { start: start + 1, end: end - 1 }
}
