// A served model: checks tensors against the declarations of the ONNX file, and runs one call at a time.
import { countOf, printShape, type Tensor } from '@inferwire/protocol'
import type { Engine, Session, SessionTensor } from './engine.ts'
import { Failure } from './failure.ts'
import { Turns } from './turns.ts'

/** A model to serve: the name in its URLs, and the path of its .onnx file. */
export interface ModelSource {
  readonly name: string
  readonly file: string
}

// Maximum number of dimensions of a tensor, the same as numpy's.
const RANK_MAX = 64

/** A loaded model. */
export interface Model {
  readonly name: string
  readonly inputs: readonly SessionTensor[]
  readonly outputs: readonly SessionTensor[]
  /**
   * Computes the named outputs.
   * @throws Failure 500 `ValueError` if a shape does not match the model, as in KServe's scikit-learn server
   */
  run(inputs: readonly Tensor[], outputs: readonly string[], signal: AbortSignal): Promise<Tensor[]>
  release(): Promise<void>
}

/** Loads a model. @throws ModelServerError with the file and the remedy */
export async function loadModel(engine: Engine, source: ModelSource): Promise<Model> {
  const session = await engine.load(source.name, source.file)
  const turns = new Turns()
  return {
    name: source.name,
    inputs: session.inputs,
    outputs: session.outputs,
    async run(inputs, outputs, signal) {
      for (const input of inputs) checkShape(source.name, session, input)
      return turns.take(signal, async () => {
        try {
          return await session.run(inputs, outputs)
        } catch (error) {
          throw Failure.raised('RuntimeError', error instanceof Error ? error.message : String(error))
        }
      })
    },
    release: () => turns.take(undefined, () => session.release()),
  }
}

function checkShape(model: string, session: Session, input: Tensor): void {
  const declared = session.inputs.find(({ name }) => name === input.name)
  const { shape } = input
  // An empty tensor is rejected: it contains nothing to predict, but its other dimensions could make the engine
  // allocate gigabytes.
  if (countOf(shape) === 0) {
    throw Failure.raised(
      'ValueError',
      `Found array with 0 sample(s) (shape=${printShape(shape)}) while a minimum of 1 is required.`,
    )
  }
  if (shape.length > RANK_MAX) {
    throw Failure.raised('ValueError', `maximum supported dimension is ${RANK_MAX}, found ${shape.length}`)
  }
  const expected = declared?.shape ?? []
  // An ONNX file may omit the shape, in which case only the engine can check it.
  if (expected.length === 0) return
  const what = `input "${input.name}" of model "${model}" is ${input.datatype} [${expected.join(',')}]`
  if (shape.length !== expected.length) {
    throw Failure.raised(
      'ValueError',
      `Expected ${expected.length}D array, got ${shape.length}D array of shape ${printShape(shape)}: ${what}`,
    )
  }
  for (const [axis, dimension] of expected.entries()) {
    if (dimension === -1 || dimension === shape[axis]) continue
    throw Failure.raised(
      'ValueError',
      axis === 1 && shape.length === 2
        ? `X has ${shape[axis]} features, but the model is expecting ${dimension} features as input: ${what}`
        : `got shape ${printShape(shape)}, but ${what}`,
    )
  }
}
