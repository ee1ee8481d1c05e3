// Checks the model that a request's body names: policy and access rules refer to the model in the topic.
import { isUtf8 } from 'node:buffer'
import { findMembers, JsonSyntaxError, Problem, type FoundMembers } from '@inferwire/protocol'
import type { ModelPlace } from '../step.ts'

/**
 * Returns the place of the model's name in the body, or where it can be inserted. The body must name the exposed model
 * or none. Its other members are not checked, except that the whole body must be JSON.
 * @throws Problem `forbidden_model` for another model; `bad_payload` for a body that is not JSON, or whose model a
 * server could read differently
 */
export function findNamedModel(body: Buffer, member: string, exposedName: string): ModelPlace {
  const { members, insertAt, isEmpty } = search(body, member)
  const [place, second] = members
  if (place === undefined) return { start: insertAt, end: insertAt, isEmpty }
  // Some servers use the first of two members with the same name, others the last.
  if (second !== undefined) throw new Problem('bad_payload', `The body has the member "${member}" twice.`)
  if (place.name !== member) {
    throw new Problem('bad_payload', `The body has a member "${place.name}"; write "${member}".`)
  }
  const { start, end } = place
  const named: unknown = JSON.parse(body.toString('utf8', start, end))
  if (typeof named !== 'string') {
    throw new Problem('bad_payload', `The body's member "${member}" must be a string.`)
  }
  if (named !== exposedName) {
    throw new Problem(
      'forbidden_model',
      `The body names a different model than the topic. Write "${member}": "${exposedName}", or omit the member.`,
    )
  }
  return { start, end, isEmpty }
}

function search(body: Buffer, member: string): FoundMembers {
  // In other encodings, such as UTF-16, a server could find other members.
  if (!isUtf8(body)) throw new Problem('bad_payload', 'The body is not UTF-8.')
  try {
    return findMembers(body, [member])
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw new Problem('bad_payload', `${error.message}.`)
  }
}
