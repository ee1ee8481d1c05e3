// The files of resources/: which object is in which file, and what its first lines say.
import { exampleInferenceService, connectorAuthorizationPolicy, EXAMPLE_MODEL_URL } from './kserve.ts'
import { manifestParts } from './manifests.ts'
import type { KubernetesObject } from './object.ts'
import { overlayFiles } from './overlays.ts'
import { completeConnector } from './options.ts'
import {
  k3sHelmChartConfig,
  traefikDeploymentPatch,
  traefikHelmValues,
  traefikServicePatch,
  type EntryPoint,
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

// What the reader of a file has to know, or to change.
const NOTES: Readonly<Record<string, string>> = {
  'mosquitto/cm-mosquitto-config.yaml':
    'Broker configuration and access rules. After a change: kubectl rollout restart deployment/mosquitto -n mosquitto',
  'mosquitto/cm-mosquitto-password.yaml':
    'Replace this file: the user in it is nobody, and without users nobody gets in.\n' +
    'mosquitto_passwd or `inferwire passwd` makes the lines; `inferwire passwd --configmap mosquitto-password` this whole file.\n' +
    'A Secret is the better place: resources/overlays/mosquitto-secret.',
  'mosquitto/irtcp-mosquitto.yaml': 'Needs Traefik with the entry point "mqtt": resources/traefik.',
  'inferwire/cm-inferwire-config.yaml':
    'The configuration of the connector; put your models here. Models and policy are taken over within two minutes;\n' +
    'for everything else: kubectl rollout restart statefulset/inferwire -n inferwire',
  'inferwire/sts-inferwire.yaml':
    'Needs the password of the user "inferwire" at the broker:\n' +
    'kubectl create secret generic inferwire-broker -n inferwire --from-file=password=FILE\n' +
    'More than one replica: inferwire manifests --only connector --replicas N',
}

/** Path below resources/ and text of every file. */
export function resourceFiles(): Map<string, string> {
  const { broker, connector } = manifestParts({
    connector: { config: { models: { iris: { url: EXAMPLE_MODEL_URL } } } },
  })
  const policy = connectorAuthorizationPolicy(completeConnector({}))
  return new Map([
    ...folder('mosquitto', broker),
    ...folder('inferwire', connector),
    ...folder('kserve', [exampleInferenceService()]),
    [
      `kserve/istio/${fileName(policy)}`,
      withNote(
        policy,
        'For a mesh: who else may ask this model needs a rule of its own, because the first ALLOW policy of a pod refuses\n' +
          'everybody whom none allows. With Knative the request comes from its activator or gateway instead: allow the\n' +
          'namespaces knative-serving and istio-system.',
      ),
    ],
    ...traefikFiles(),
    ...overlayFiles(fileName, (value, note) => withNote(value, note)),
  ])
}

// In the guide's style: cm-mosquitto-config.yaml.
function fileName({ kind, metadata }: KubernetesObject): string {
  return `${PREFIXES[kind] ?? kind.toLowerCase()}-${metadata.name}.yaml`
}

// `Kustomization` has no extension: kustomize finds it, and `kubectl apply -f FOLDER` does not take it for an object.
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
        'For the Traefik of k3s (its chart is 27.0.0 or later): kubectl apply -f resources/traefik/k3s-helmchartconfig.yaml',
      ),
    ],
    ...patchFiles('mqtt', ''),
    ...patchFiles('mqtts', '-mqtts'),
  ]
}

// For a Traefik that somebody installed without Helm; each file holds one entry point.
function patchFiles(entry: EntryPoint, suffix: string): [string, string][] {
  const patches = [
    ['deployment', 'For a Deployment of your own', traefikDeploymentPatch(entry)],
    [
      'service',
      'For its Service; without it nobody outside reaches the entry point',
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
