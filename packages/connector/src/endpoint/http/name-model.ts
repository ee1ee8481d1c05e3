// Replaces the exposed name of a model in a request's body by the model's name on its server.
import type { ModelPlace } from '../../step.ts'

/** Returns the body with the name. Only the bytes of the name change; a body that has it already is not copied. */
export function nameModel(body: Buffer, member: string, place: ModelPlace, name: string): Buffer {
  const { start, end, isEmpty } = place
  const literal = JSON.stringify(name)
  if (start !== end) {
    if (body.toString('utf8', start, end) === literal) return body
    return spliced(body, start, end, literal)
  }
  return spliced(body, start, end, `${JSON.stringify(member)}:${literal}${isEmpty ? '' : ','}`)
}

function spliced(body: Buffer, start: number, end: number, text: string): Buffer {
  return Buffer.concat([body.subarray(0, start), Buffer.from(text), body.subarray(end)])
}
