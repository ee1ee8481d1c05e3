// Runs ONNX models with onnxruntime-node if it is installed, otherwise with onnxruntime-web (WebAssembly).
import { readFile } from 'node:fs/promises'
import type { Datatype, Tensor, TensorMetadata } from '@inferwire/protocol'
import type * as OnnxRuntime from 'onnxruntime-web'
import { ModelServerError } from './model-server-error.ts'

/** Loads ONNX files. */
export interface Engine {
  /** The package in use: `onnxruntime-node` or `onnxruntime-web`. */
  readonly name: string
  /** Loads a model. @throws ModelServerError with the file and the remedy */
  load(model: string, file: string): Promise<Session>
}

/** A loaded model. Calls of `run` must not overlap: onnxruntime-web does not reliably support concurrent calls. */
export interface Session {
  readonly inputs: readonly SessionTensor[]
  readonly outputs: readonly SessionTensor[]
  /** Computes the named outputs from exactly one tensor per input. Returns the outputs in the order of `outputs`. */
  run(inputs: readonly Tensor[], outputs: readonly string[]): Promise<Tensor[]>
  release(): Promise<void>
}

/** An input or output as the ONNX file declares it. `-1` is a variable dimension; a missing shape is an empty list. */
export interface SessionTensor extends TensorMetadata {
  readonly datatype: Datatype
}

type Runtime = typeof OnnxRuntime

const DATATYPES: Partial<Record<OnnxRuntime.Tensor.Type, Datatype>> = {
  bool: 'BOOL',
  uint8: 'UINT8',
  uint16: 'UINT16',
  uint32: 'UINT32',
  uint64: 'UINT64',
  int8: 'INT8',
  int16: 'INT16',
  int32: 'INT32',
  int64: 'INT64',
  float32: 'FP32',
  float64: 'FP64',
  string: 'BYTES',
}

const ONNX_TYPES = Object.fromEntries(Object.entries(DATATYPES).map(([onnx, oip]) => [oip, onnx])) as Record<
  Datatype,
  OnnxRuntime.Tensor.Type
>

/** Finds the engine. @throws ModelServerError if neither package can be loaded */
export async function findEngine(): Promise<Engine> {
  const native = await importNative()
  if (native !== undefined) return engineOf('onnxruntime-node', native)
  try {
    const web = await import('onnxruntime-web')
    // Additional threads would be workers that continue to run after the call. With a small model, a call ends
    // before a worker has started.
    web.env.wasm.numThreads = 1
    web.env.logLevel = 'fatal'
    return engineOf('onnxruntime-web', web)
  } catch (error) {
    throw new ModelServerError(
      'engine_unavailable',
      'Cannot load onnxruntime-web, which runs the models. Install the dependencies again: npm install',
      error,
    )
  }
}

/** Imports onnxruntime-node, which is faster. It is not a dependency, because its install script downloads 291 MB. */
async function importNative(): Promise<Runtime | undefined> {
  const name: string = 'onnxruntime-node'
  try {
    const native = (await import(name)) as Runtime & { default?: Runtime }
    return native.InferenceSession === undefined ? native.default : native
  } catch {
    return undefined
  }
}

function engineOf(name: string, runtime: Runtime): Engine {
  return {
    name,
    async load(model, file) {
      let bytes: Uint8Array
      try {
        bytes = await readFile(file)
      } catch (error) {
        throw new ModelServerError(
          'model_file_unreadable',
          `Cannot read "${file}" of model "${model}": ${messageOf(error)}. Check that the path names an .onnx file.`,
          error,
        )
      }
      try {
        const session = await runtime.InferenceSession.create(bytes, { logSeverityLevel: 4 })
        return sessionOf(runtime, session, model, file)
      } catch (error) {
        if (error instanceof ModelServerError) throw error
        throw new ModelServerError(
          'invalid_model',
          `${name} cannot load "${file}" as model "${model}": ${messageOf(error)}. ` +
            'Check that it is an ONNX file with its weights inside. Use an older opset if the engine is too old.',
          error,
        )
      }
    },
  }
}

function sessionOf(
  runtime: Runtime,
  session: OnnxRuntime.InferenceSession,
  model: string,
  file: string,
): Session {
  const describe = (value: OnnxRuntime.InferenceSession.ValueMetadata, side: string): SessionTensor => {
    if (!value.isTensor) {
      throw new ModelServerError(
        'unsupported_model',
        `The ${side} "${value.name}" of "${file}" (model "${model}") is not a tensor but a list or map. ` +
          "Export scikit-learn classifiers with options={'zipmap': False}.",
      )
    }
    const datatype = DATATYPES[value.type]
    if (datatype === undefined) {
      throw new ModelServerError(
        'unsupported_model',
        `The ${side} "${value.name}" of "${file}" (model "${model}") is ${value.type}, which this server does not support. ` +
          `Export it as one of ${Object.keys(ONNX_TYPES).join(', ')}.`,
      )
    }
    return { name: value.name, datatype, shape: value.shape.map(dimensionOf) }
  }
  return {
    inputs: session.inputMetadata.map((value) => describe(value, 'input')),
    outputs: session.outputMetadata.map((value) => describe(value, 'output')),
    async run(inputs, outputs) {
      const feeds: Record<string, OnnxRuntime.Tensor> = Object.create(null)
      for (const { name, datatype, data, shape } of inputs) {
        feeds[name] = new runtime.Tensor(ONNX_TYPES[datatype], data, shape)
      }
      const fetched = await session.run(feeds, outputs)
      return outputs.map((name) => fromOnnx(name, fetched[name]))
    },
    release: () => session.release(),
  }
}

/**
 * Depending on the engine, a variable dimension is a name, or -1 converted to an unsigned number. Returns -1 for both.
 */
function dimensionOf(dimension: number | string): number {
  return typeof dimension === 'number' && dimension >= 0 && dimension < 2 ** 31 ? dimension : -1
}

function fromOnnx(name: string, tensor: OnnxRuntime.Tensor | undefined): Tensor {
  const datatype = tensor && DATATYPES[tensor.type]
  if (tensor === undefined || datatype === undefined)
    throw new TypeError(`the model returned no usable tensor for output "${name}"`)
  return { name, datatype, shape: tensor.dims, data: tensor.data }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
