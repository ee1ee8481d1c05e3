// The V1 protocol (TensorFlow-Serving style): list, ready, predict, explain.
import {
  flatten,
  isJsonObject,
  JsonSyntaxError,
  parseJson,
  toNestedJson,
  toTensorData,
  type Json,
  type Tensor,
} from '@inferwire/protocol'
import { modelOf, type Call, type Models, type Route } from './call.ts'
import { Failure } from './failure.ts'
import type { Model } from './model.ts'
import { fromRawBody } from './raw-body.ts'

/**
 * The routes of V1.
 * @param listed the members of OpenAI's model list. The V1 list contains them too, because both lists have the
 * path `/v1/models` if the client omits the prefix `/openai`.
 */
export function v1Routes(models: Models, listed: object = {}): Route[] {
  const list = JSON.stringify({ models: [...models.keys()], ...listed })
  return [
    { method: 'GET', path: /^\/v1\/models$/, handle: () => list },
    {
      method: 'POST',
      path: /^\/v1\/models\/(?<model>[^/]+):predict$/,
      handle: (call) => predict(modelOf(models, call), call),
    },
    {
      method: 'POST',
      path: /^\/v1\/models\/(?<model>[^/]+):explain$/,
      handle(call) {
        const { name } = modelOf(models, call)
        throw Failure.error(501, `Model with name ${name} has no explainer.`)
      },
    },
    // This route is the last one, as in KServe. Therefore, GET …/iris:predict is a readiness request for a model named
    // "iris:predict", and receives 404.
    {
      method: 'GET',
      path: /^\/v1\/models\/(?<model>[^/]+)$/,
      handle: (call) => JSON.stringify({ name: modelOf(models, call).name, ready: true }),
    },
  ]
}

async function predict(model: Model, call: Call): Promise<string> {
  const body = await readBody(model, call)
  const inputs = body instanceof RawBody ? [body.tensor] : fromInstances(model, instancesOf(body))
  const [predictions] = await model.run(inputs, [predictionOf(model)], call.signal)
  if (predictions === undefined) throw Failure.raised('RuntimeError', 'the model has no output')
  return `{"predictions":${toNestedJson(predictions)}}`
}

/** The Content-Types that KServe treats as JSON. It does not treat `application/json; charset=utf-8` as JSON. */
const JSON_TYPES: readonly (string | undefined)[] = [
  undefined,
  'application/json',
  'application/cloudevents+json',
  'application/ld+json',
  'application/octet-stream',
]

class RawBody {
  readonly tensor: Tensor

  constructor(tensor: Tensor) {
    this.tensor = tensor
  }
}

async function readBody(model: Model, call: Call): Promise<Json | RawBody> {
  const bytes = await call.body()
  const contentType = call.header('content-type')
  if (!JSON_TYPES.includes(contentType)) {
    // KServe passes a body of any other type to the model as bytes; a model with numeric inputs then fails.
    throw Failure.raised(
      'TypeError',
      `the model received the body as bytes, because its Content-Type is "${contentType}"; send exactly application/json`,
    )
  }
  try {
    return parseJson(bytes)
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error
    // KServe rejects a body that is not JSON. This server reads an application/octet-stream body as the tensor's
    // values: the smallest body that a device can send.
    const tensor = contentType === 'application/octet-stream' ? fromRawBody(model, bytes) : undefined
    if (tensor !== undefined) return new RawBody(tensor)
    throw Failure.invalidInput(`Unrecognized request format: ${error.message}`)
  }
}

function instancesOf(body: Json): Json[] {
  if (!isJsonObject(body)) throw Failure.raised('TypeError', 'the body is not an object with "instances"')
  // As in KServe's get_predict_input, `inputs` is an alias of `instances` and takes precedence.
  for (const key of ['inputs', 'instances']) {
    const instances = body[key]
    if (Array.isArray(instances)) return instances
    if (instances !== undefined) throw Failure.invalidInput(`Expected "${key}" to be a list`)
  }
  throw Failure.raised('KeyError', "'instances'")
}

/**
 * Converts rows to tensors. A row is an object with one value per input, or the bare value if there is only one input.
 */
function fromInstances(model: Model, instances: Json[]): Tensor[] {
  return model.inputs.map(({ name, datatype }) => {
    const rows = instances.map((instance) => {
      const value = isJsonObject(instance) ? instance[name] : model.inputs.length === 1 ? instance : undefined
      if (value !== undefined) return value
      throw Failure.raised('KeyError', `'${name}': an instance is an object with a value for each input`)
    })
    const { shape, values } = flatten(rows)
    return { name, datatype, shape, data: toTensorData(name, datatype, values) }
  })
}

/** A classifier returns labels, as KServe's scikit-learn server does; other models return their first output. */
function predictionOf(model: Model): string {
  const names = model.outputs.map(({ name }) => name)
  const label = ['label', 'output_label'].find((name) => names.includes(name))
  return label ?? names[0] ?? ''
}
