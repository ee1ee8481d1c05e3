// Reads a body that is only the bytes of a model's single input (Triton: Inference-Header-Content-Length of 0).
import { BodyError } from './body-error.ts'
import { isDatatype, widthOf } from './datatype.ts'
import { joinElements } from './elements.ts'
import type { MessageRequest } from './infer-message.ts'
import { checkRaw } from './raw-tensor.ts'

/** An input in a model's metadata; a size of -1 is variable. */
export interface DeclaredInput {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
}

/**
 * Returns a request whose outputs are binary. As in Triton, at most one dimension besides the batch may be variable, and
 * BYTES must have a single element, which is the whole body.
 * @throws BodyError `invalid_input` if the model's metadata does not determine the shape, `invalid_value` if the bytes
 * do not match it
 */
export function readBareTensor(body: Uint8Array, inputs: readonly DeclaredInput[]): MessageRequest {
  const [input] = inputs
  if (input === undefined || inputs.length > 1) {
    throw new BodyError(
      'invalid_input',
      `A body without JSON requires a model with exactly one input in its metadata, but this model has ${inputs.length}`,
    )
  }
  const { name, datatype } = input
  if (!isDatatype(datatype)) {
    throw new BodyError(
      'invalid_input',
      `Input "${name}" has datatype "${datatype}", which V2 does not define`,
    )
  }
  const width = widthOf(datatype)
  const raw = width === undefined ? joinElements([body]) : body
  const shape = shapeOf(input, width === undefined ? 1 : body.length / width)
  checkRaw(`input "${name}"`, datatype, shape, raw)
  return {
    id: undefined,
    parameters: new Map(),
    inputs: [{ name, datatype, shape, parameters: new Map(), data: { raw } }],
    outputs: [],
    isBinary: true,
  }
}

function shapeOf({ name, shape }: DeclaredInput, values: number): number[] {
  const sizes = [...shape]
  const variable = sizes.flatMap((size, axis) => (size < 0 ? [axis] : []))
  // If the first dimension and one other dimension are variable, the first is the batch dimension: one row.
  if (variable.length === 2 && variable[0] === 0) sizes[variable.shift()!] = 1
  const [axis] = variable
  if (variable.length > 1) {
    throw new BodyError(
      'invalid_input',
      `Input "${name}" has several variable dimensions: [${shape.join(',')}]`,
    )
  }
  if (axis === undefined) return sizes
  const fixed = sizes.reduce((product, size) => (size < 0 ? product : product * size), 1)
  // If the division leaves a remainder, the size check reports it.
  sizes[axis] = fixed === 0 ? 0 : Math.floor(values / fixed)
  return sizes
}
