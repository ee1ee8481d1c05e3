// How requests to the simulated model share a call: the merged body is a list of the requests' bodies, and the
// merged answer is a list of the answers to these requests.
import type { BatchMember, BatchRules, CarriedBody } from '@inferwire/protocol'

interface Member extends BatchMember {
  readonly text: string
}

const rules: BatchRules<Member> = {
  operation: 'infer',
  permits: () => 'yes',
  read: ({ body }) => ({ key: '', rows: 1, text: Buffer.from(body).toString() }),
  merge: (members) => carried(`[${members.map(({ text }) => text).join()}]`),
  split(members, { body }) {
    const answers = JSON.parse(Buffer.from(body).toString()) as unknown[]
    if (answers.length !== members.length) return undefined
    return answers.map((answer) => carried(JSON.stringify(answer)))
  },
}

/** The rules of the model with batching. */
export const SIMULATED_RULES: BatchRules = rules

function carried(text: string): CarriedBody {
  return { body: Buffer.from(text), jsonLength: undefined }
}
