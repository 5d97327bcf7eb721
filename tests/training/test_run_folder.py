"""What a run leaves in its folder comes back."""

from tfmeta.training.run_folder import RunFolder


def test_flags_with_names_of_any_encoding_come_back(tmp_path):
    lines = ["--dataset=folder:my + photos/café", "--split=caf\udce9"]
    folder = RunFolder(tmp_path)
    folder.write_flags(lines)
    assert folder.read_flags() == lines
    assert folder.flags.read_bytes().endswith(b"--split=caf\xe9\n")


def test_a_folder_may_begin_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunFolder("~/runs").path == tmp_path / "runs"
