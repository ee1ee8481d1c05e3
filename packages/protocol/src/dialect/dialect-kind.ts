// What a dialect is: the shape of its entry in the table.
import type { OperationName } from '../operation.ts'

/** How an operation is asked for over HTTP. */
export interface Route {
  readonly method: 'GET' | 'POST'
  /** As a template: `{model}`, `{version}`, and in brackets what is left out without a version. */
  readonly path: string
}

/** A language of model servers: what a body means, whatever it travels over. */
export interface DialectKind {
  /** How people write it. */
  readonly title: string
  /** The operation used when the topic names none. */
  readonly defaultOperation: OperationName
  /** Whether a body may be JSON with binary tensors behind it (the V2 binary tensor extension). */
  readonly hasBinaryTensors: boolean
  /** The member by which a JSON body of the default operation is recognised; left out where no member marks it. */
  readonly bodyMember?: string
  /** Its operations. `metadata` is what a server is asked to find out whether it speaks the dialect for a model. */
  readonly routes: Readonly<Partial<Record<OperationName, Route>>>
}
