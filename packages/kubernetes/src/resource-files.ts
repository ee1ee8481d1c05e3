// Generates the files of resources/. Each file contains one object, and a comment that explains its use.
import { EXAMPLE_MODEL, EXAMPLE_MODEL_URL, exampleInferenceService } from './kserve.ts'
import { kubeflowObjects } from './kubeflow/index.ts'
import { manifestParts } from './manifests.ts'
import type { KubernetesObject } from './object.ts'
import { overlayFiles, RESOURCES_BROKER } from './overlays.ts'
import { completeConnector } from './options.ts'
import {
  k3sHelmChartConfig,
  traefikDeploymentPatch,
  traefikHelmValues,
  traefikServicePatch,
  type EntryName,
} from './traefik.ts'
import { yamlText } from './yaml.ts'

const GENERATED = '# Generated from packages/kubernetes by `npm run docs`.'

const PREFIXES: Readonly<Record<string, string>> = {
  AuthorizationPolicy: 'authz',
  ConfigMap: 'cm',
  Deployment: 'deploy',
  InferenceService: 'isvc',
  IngressRoute: 'ir',
  IngressRouteTCP: 'irtcp',
  NetworkPolicy: 'netpol',
  PersistentVolumeClaim: 'pvc',
  PodDisruptionBudget: 'pdb',
  Role: 'role',
  RoleBinding: 'rolebinding',
  Secret: 'secret',
  Service: 'svc',
  ServiceAccount: 'sa',
  StatefulSet: 'sts',
}

// Notes for the user, keyed by file.
const NOTES: Readonly<Record<string, string>> = {
  'mosquitto/cm-mosquitto-config.yaml':
    'Broker configuration and access rules. The user "admin" can read all topics, for MQTT Explorer: the rule has an\n' +
    'effect only if the password file contains that user.\n' +
    'After a change: kubectl rollout restart deployment/mosquitto -n mosquitto',
  'mosquitto/cm-mosquitto-password.yaml':
    'Replace this file: no password matches its only user, so the broker rejects every client.\n' +
    'mosquitto_passwd and `inferwire passwd` create the lines; `inferwire passwd --configmap mosquitto-password` creates\n' +
    'the whole file. A Secret is safer: resources/overlays/mosquitto-secret.',
  'mosquitto/irtcp-mosquitto.yaml': 'Requires Traefik with the entry point "mqtt": resources/traefik.',
  'inferwire/cm-inferwire-config.yaml':
    "The connector's configuration; add your models here. Changes to models and policy take effect within two\n" +
    'minutes. After other changes: kubectl rollout restart statefulset/inferwire -n inferwire',
  'inferwire/sts-inferwire.yaml':
    'Requires a Secret with the password of the broker\'s user "inferwire":\n' +
    'kubectl create secret generic inferwire-broker -n inferwire --from-file=password=FILE\n' +
    'For several replicas: inferwire manifests --only connector --replicas N',
}

/** Returns the text of every file, keyed by its path below resources/. */
export function resourceFiles(): Map<string, string> {
  const { broker, connector } = manifestParts({
    broker: RESOURCES_BROKER,
    connector: { config: { models: { iris: { url: EXAMPLE_MODEL_URL } } } },
  })
  const { name, namespace } = EXAMPLE_MODEL
  const kubeflow = { modelNamespace: namespace, mode: 'standard', inferenceServices: [name] } as const
  const [policy] = kubeflowObjects(completeConnector({ kubeflow }))
  return new Map([
    ...folder('mosquitto', broker),
    ...folder('inferwire', connector),
    ...folder('kserve', [exampleInferenceService()]),
    [
      `kserve/istio/${fileName(policy!)}`,
      withNote(
        policy!,
        'For a mesh with KServe in Standard mode. Once a pod has an ALLOW policy, Istio denies every request that no ALLOW policy matches, so other\n' +
          'clients of this model need rules of their own. For your models, and for Knative:\n' +
          'inferwire manifests --only kubeflow --model-namespace NS --mode knative --inference-service NAME',
      ),
    ],
    ...traefikFiles(),
    ...overlayFiles(fileName, (value, note) => withNote(value, note)),
  ])
}

// Returns a file name such as cm-mosquitto-config.yaml.
function fileName({ kind, metadata }: KubernetesObject): string {
  return `${PREFIXES[kind] ?? kind.toLowerCase()}-${metadata.name}.yaml`
}

// kustomize finds `Kustomization` without an extension, and `kubectl apply -f FOLDER` ignores it.
function folder(name: string, objects: readonly KubernetesObject[]): [string, string][] {
  const files = objects.map((object): [string, string] => {
    const path = `${name}/${fileName(object)}`
    return [path, withNote(object, NOTES[path] ?? '')]
  })
  const kustomization = {
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: objects.map(fileName),
  }
  return [...files, [`${name}/Kustomization`, withNote(kustomization, '')]]
}

function traefikFiles(): [string, string][] {
  return [
    [
      'traefik/helm-values.yaml',
      withNote(
        traefikHelmValues(),
        "For Traefik's Helm chart, 27.0.0 and later:\n" +
          'helm upgrade traefik traefik/traefik -n traefik --reuse-values -f resources/traefik/helm-values.yaml',
      ),
    ],
    [
      'traefik/k3s-helmchartconfig.yaml',
      withNote(
        k3sHelmChartConfig(),
        'For the Traefik that k3s installs (chart 27.0.0 or later): kubectl apply -f resources/traefik/k3s-helmchartconfig.yaml',
      ),
    ],
    ...patchFiles('mqtt', ''),
    ...patchFiles('mqtts', '-mqtts'),
  ]
}

// Returns patches for a Traefik that was installed without Helm. Each file contains one entry point.
function patchFiles(entry: EntryName, suffix: string): [string, string][] {
  const patches = [
    ['deployment', 'For a Traefik that was installed without Helm', traefikDeploymentPatch(entry)],
    [
      'service',
      "For Traefik's Service, which must expose the port to clients outside the cluster",
      traefikServicePatch(entry),
    ],
  ] as const
  return patches.map(([kind, what, steps]) => {
    const path = `traefik/${kind}-patch${suffix}.yaml`
    const command = `kubectl patch ${kind} traefik -n traefik --type=json --patch-file resources/${path}`
    return [path, withNote(steps, `${what}:\n${command}`)]
  })
}

function withNote(value: unknown, note: string): string {
  const lines = note === '' ? [] : note.split('\n').map((line) => `# ${line}`)
  return [GENERATED, ...lines, yamlText(value)].join('\n')
}
